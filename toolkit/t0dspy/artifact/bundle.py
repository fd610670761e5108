"""Read, compare and write the directory tree of a program. Only this module writes generated files."""

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
    """Return path below `directory` -> text, for every file in it; empty if there is no such directory.

    If a writer was killed after its write was decided (see `swap`), the files to be written are returned. Bytes that
    are not UTF-8, in a file of the user's own, are replaced.

    Raises:
        BundleError: a file cannot be read, or is TOML and not UTF-8.
    """
    present = [
        (path.relative_to(directory).as_posix(), path) for path in sorted(directory.rglob("*")) if path.is_file()
    ]
    return {name: _text(path) for name, path in (*present, *swap.decided_files(directory))}


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
    """Return the generated files that differ from what was written, or are missing.

    Args:
        present: the tree, path -> text.
        recorded: path -> SHA-256, as the manifest has them.
    """
    return [path for path, hash in recorded.items() if path not in present or digest(present[path]) != hash]


def diff(present: Mapping[str, str], files: Mapping[str, str], version: str, parent: str | None) -> str:
    """Return what writing `files` changes, as a unified diff; a new version's files are compared with its parent's.

    A file that has nothing to be compared with is listed with its number of lines.

    Args:
        present: the tree as it is, path -> text.
        files: path -> text that would be written.
        version: the new version.
        parent: the version to compare its files with; None for no version.
    """
    lines: list[str] = []
    for path in sorted(files):
        if path == MANIFEST or path.endswith("state.json"):
            continue  # these repeat what the other files contain
        before = path
        if parent is not None and path.startswith(f"{version}/"):
            before = f"{parent}/{path.removeprefix(f'{version}/')}"
        new = files[path].splitlines(keepends=True)
        if before not in present:
            lines.append(f"new {path} ({len(new)} lines)\n")
            continue
        old = present[before].splitlines(keepends=True)
        changes = difflib.unified_diff(old, new, before, path)
        lines += [line if line.endswith("\n") else line + "\n" for line in changes]
    return "".join(lines)


def interrupted(directory: Path) -> bool:
    """Return whether a writer holds `directory`, or was killed and left something to finish or remove."""
    return _lock_file(directory).exists() or swap.interrupted(Path(os.path.realpath(directory)))


def _lock_file(directory: Path) -> Path:
    return directory.parent / f".{directory.name}.lock"


@contextmanager
def lock(directory: Path, seconds: float = 60.0) -> Iterator[None]:
    """Hold the lock for writing the tree at `directory`; first, finish or remove what a killed writer left.

    The lock is a file beside the tree; it is removed afterwards.

    Args:
        directory: the program's directory, which need not exist.
        seconds: the longest wait for the lock.

    Raises:
        BundleError: if another process held the lock for all of `seconds`, or a program cannot be at that path.
    """
    check_place(directory)
    missing = [parent for parent in (directory.parent, *directory.parent.parents) if not parent.exists()]
    with ExitStack() as stack:
        try:
            directory.parent.mkdir(parents=True, exist_ok=True)
            stack.callback(_remove_empty, missing)
            stack.enter_context(locks.hold(_lock_file(directory), seconds, remove=True))
        except LockedError:
            raise BundleError(
                f"{directory}: another t0dspy process has been writing to it for {seconds:g} s. Try again."
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
    """Check that a program can be at `directory`.

    Raises:
        BundleError: `directory` or its parent is a link or a file.
    """
    for path in (directory.parent, directory):
        if path.is_symlink():
            raise BundleError(
                f"{path} is a symbolic link, and the gateway's config glob does not follow links to directories. "
                "Put the directory itself there (the directory of all configs may be a link)."
            )
        if path.exists() and not path.is_dir():
            raise BundleError(f"{path} is a file, but it must be the program's directory. Move the file away.")


def _finish(directory: Path) -> None:
    try:
        swap.finish(Path(os.path.realpath(directory)))
    except OSError as error:
        raise BundleError(
            f"{directory}: the files of a killed export can be neither completed nor removed ({error})."
        ) from error


def write_tree(directory: Path, files: Mapping[str, str]) -> None:
    """Add or replace `files` in the tree at `directory`: all of them, or none if there is an error.

    Call it within `lock`. The other files of the tree stay as they are.

    Raises:
        BundleError: a text is not UTF-8, a directory or link is in a file's place, or the disk refuses.
    """
    encoded = check_writable(directory, files)
    try:
        swap.replace_tree(Path(os.path.realpath(directory)), encoded)
    except OSError as error:
        file = f": {error.filename}" if error.filename else ""
        raise BundleError(f"{directory}: cannot be written ({error.strerror}{file}).") from error


def check_writable(directory: Path, files: Mapping[str, str]) -> dict[str, bytes]:
    """Check that `files` can be written to the tree at `directory`, and return their bytes.

    Raises:
        BundleError: a text is not UTF-8, or a directory or link is in a file's place.
    """
    _check_places(directory, files)
    encoded = {}
    for path, text in files.items():
        try:
            encoded[path] = text.encode("utf-8")
        except UnicodeEncodeError as error:
            wrong = error.object[error.start]
            raise BundleError(f"{directory / path}: would contain {wrong!r}, which UTF-8 cannot encode.") from error
    return encoded


def _check_places(directory: Path, files: Mapping[str, str]) -> None:
    targets = [directory / name for name in files]
    for target in targets:
        if target.is_dir():
            raise BundleError(f"{target} is a directory, but it must be a generated file. Move the directory away.")
    for above in {parent for target in targets for parent in target.relative_to(directory).parents}:
        place = directory / above
        if place.is_file() or (place != directory and place.is_symlink()):
            raise BundleError(f"{place} is a file, but it must be a directory of generated files. Move the file away.")
