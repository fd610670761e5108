"""The tree of a program on disk: read it, compare it, write it. The only writer of generated files."""

import difflib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from localkit import locks
from localkit.errors import LockedError
from t0dspy.artifact import swap
from t0dspy.artifact.swap import MANIFEST as MANIFEST
from t0dspy.artifact.swap import ROLLOUT as ROLLOUT
from t0dspy.errors import BundleError, HandEditedError
from t0dspy.model import digest


def read_tree(directory: Path) -> dict[str, str]:
    """Path below `directory` -> text, of every file in it; empty when there is no such directory.

    Where a write was decided but cut off, the tree is read as it was decided. Bytes that are not UTF-8 (a file of the
    user's own) are replaced.

    Raises:
        BundleError: a file cannot be read, or is TOML and not UTF-8.
    """
    found = [(path.relative_to(directory).as_posix(), path) for path in sorted(directory.rglob("*")) if path.is_file()]
    return {name: _text(path) for name, path in (*found, *swap.decided_files(directory))}


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "strict" if path.suffix == ".toml" else "replace")
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{path}: cannot be read as text ({error}).") from error


def parse_object(text: str, path: str) -> dict[str, Any]:
    """Return the JSON object in the `text` of the generated file at `path`.

    Raises:
        HandEditedError: the text is not a JSON object.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise HandEditedError(
            f"{path} was changed by hand and is not JSON ({error}). Restore it from version control."
        ) from error
    if not isinstance(value, dict):
        raise HandEditedError(f"{path} was changed by hand and is not a JSON object. Restore it from version control.")
    return value


def edited_by_hand(present: Mapping[str, str], recorded: Mapping[str, str]) -> list[str]:
    """The generated files that are not as they were written, or are gone; `recorded` is the manifest's path -> hash."""
    return [path for path, hash in recorded.items() if path not in present or digest(present[path]) != hash]


def diff(present: Mapping[str, str], files: Mapping[str, str], version: str, parent: str | None) -> str:
    """What writing `files` changes, as a unified diff; a new version's files are compared with its parent's.

    A file that nothing stands before is named with its length.

    Args:
        present: the tree as it is.
        files: path -> text that would be written.
        version: the version to come.
        parent: the version to compare its files with.
    """
    lines: list[str] = []
    for path in sorted(files):
        if path == MANIFEST or path.endswith("state.json"):
            continue  # they say again what the other files say
        before = path
        if parent is not None and path.startswith(f"{version}/"):
            before = f"{parent}/{path.removeprefix(f'{version}/')}"
        new = files[path].splitlines(keepends=True)
        if before not in present:
            lines.append(f"new {path} ({len(new)} lines)\n")
            continue
        old = present[before].splitlines(keepends=True)
        found = difflib.unified_diff(old, new, before, path)
        lines += [line if line.endswith("\n") else line + "\n" for line in found]
    return "".join(lines)


def interrupted(directory: Path) -> bool:
    """Whether a writer is at work at `directory`, or was killed and left something to finish or clear away."""
    return _lock_file(directory).exists() or swap.interrupted(Path(os.path.realpath(directory)))


def _lock_file(directory: Path) -> Path:
    return directory.parent / f".{directory.name}.lock"


@contextmanager
def locked(directory: Path, seconds: float = 60.0) -> Iterator[None]:
    """Hold the right to write the tree at `directory`, once what a killed writer left is put in order.

    The lock is a file beside the tree, gone again afterwards.

    Raises:
        BundleError: somebody else held it for `seconds`, or there can be no tree at that place.
    """
    check_place(directory)
    missing = [one for one in (directory.parent, *directory.parent.parents) if not one.exists()]
    with ExitStack() as stack:
        try:
            directory.parent.mkdir(parents=True, exist_ok=True)
            stack.callback(_remove_empty, missing)
            stack.enter_context(locks.hold(_lock_file(directory), seconds, remove=True))
        except LockedError:
            raise BundleError(
                f"{directory}: another t0dspy has been writing it for {seconds:g} s. Try again."
            ) from None
        except OSError as error:
            raise BundleError(f"{directory}: cannot be written ({error.strerror}).") from error
        _finish(directory)
        yield


def _remove_empty(directories: Iterable[Path]) -> None:
    with suppress(OSError):  # not empty, because something was written
        for directory in directories:
            directory.rmdir()


def check_place(directory: Path) -> None:
    """Check that a tree can stand at `directory`.

    Raises:
        BundleError: it, or the directory of programs, is a link or a file.
    """
    for path in (directory.parent, directory):
        if path.is_symlink():
            raise BundleError(
                f"{path} is a symbolic link, and the gateway's config glob does not follow links to directories. "
                "Put the directory itself there (the directory of all configs may be a link)."
            )
        if path.exists() and not path.is_dir():
            raise BundleError(f"{path} is a file, and the program's directory should be there. Move it away.")


def _finish(directory: Path) -> None:
    try:
        swap.finish(Path(os.path.realpath(directory)))
    except OSError as error:
        raise BundleError(f"{directory}: what a killed export left there cannot be put in order ({error}).") from error


def write_tree(directory: Path, files: Mapping[str, str]) -> None:
    """Add or replace `files` in the tree at `directory`, all of them or, if anything goes wrong, none.

    Call it while `locked`. Files of the tree that are not among `files` stay as they are.

    Raises:
        BundleError: a text is not UTF-8, something is in the way, or the disk refuses.
    """
    encoded = check_writable(directory, files)
    try:
        swap.replace_tree(Path(os.path.realpath(directory)), encoded)
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        raise BundleError(f"{directory}: cannot be written ({error.strerror}{where}).") from error


def check_writable(directory: Path, files: Mapping[str, str]) -> dict[str, bytes]:
    """The bytes of `files`, once it is clear that the tree at `directory` has room for them.

    Raises:
        BundleError: a text is not UTF-8, or something else is in a file's place.
    """
    _check_room(directory, files)
    encoded = {}
    for path, text in files.items():
        try:
            encoded[path] = text.encode("utf-8")
        except UnicodeEncodeError as error:
            wrong = error.object[error.start]
            raise BundleError(f"{directory / path}: would hold {wrong!r}, which UTF-8 cannot write.") from error
    return encoded


def _check_room(directory: Path, files: Mapping[str, str]) -> None:
    targets = [directory / name for name in files]
    for target in targets:
        if target.is_dir():
            raise BundleError(f"{target} is a directory, and a generated file should be there. Move it away.")
    for above in {parent for target in targets for parent in target.relative_to(directory).parents}:
        place = directory / above
        if place.is_file() or (place != directory and place.is_symlink()):
            raise BundleError(f"{place} is a file, and a directory of generated files should be there. Move it away.")
