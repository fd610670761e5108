"""The tree of a program on disk: read it, compare it, replace it in one step. The only writer of generated files.

A new tree is staged beside the configs and changes places with the old one in a single rename, so that a reader, or
a kill at any moment, finds the tree as it was or as it should be. Files that stay are hard links to the old ones.
"""

import ctypes
import difflib
import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from t0dspy.errors import BundleError
from t0dspy.model import digest

MANIFEST, ROLLOUT = "manifest.json", "rollout.toml"
_STAGED = ".staged"
_AT_FDCWD, _EXCHANGE, _SWAP = -100, 2, 2


def read_tree(directory: Path) -> dict[str, str]:
    """Path below `directory` -> text, of every file in it; empty when there is no such directory.

    Raises:
        BundleError: a file cannot be read, or is not UTF-8.
    """
    files = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            try:
                files[path.relative_to(directory).as_posix()] = path.read_bytes().decode("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise BundleError(f"{path}: cannot be read as text ({error}).") from error
    return files


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


@contextmanager
def locked(directory: Path, seconds: float = 60.0) -> Iterator[None]:
    """Hold the right to write the tree at `directory`.

    Raises:
        BundleError: somebody else held it for `seconds`.
    """
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(directory.parent / f".{directory.name}.lock", timeout=seconds)
        lock.acquire()
    except Timeout:
        raise BundleError(f"{directory}: another t0dspy has been writing it for {seconds:g} s. Try again.") from None
    except OSError as error:
        raise BundleError(f"{directory}: cannot be written ({error.strerror}).") from error
    try:
        yield
    finally:
        lock.release()


def write_tree(directory: Path, files: Mapping[str, str]) -> None:
    """Add or replace `files` in the tree at `directory`, all of them or, if anything goes wrong, none.

    Call it while `locked`. Files of the tree that are not among `files` stay as they are.

    Raises:
        BundleError: a text is not UTF-8, or the disk refuses.
    """
    directory = Path(os.path.realpath(directory))
    try:
        encoded = {path: text.encode("utf-8") for path, text in files.items()}
        _clear_leftovers(directory)
        staging = _staging_place(directory)
        try:
            _stage(directory, staging, encoded)
            _change_places(staging, directory)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except UnicodeEncodeError as error:
        raise BundleError(
            f"{directory}: a text holds {error.object[error.start]!r}, which UTF-8 cannot write."
        ) from error
    except OSError as error:
        raise BundleError(f"{directory}: cannot be written ({error.strerror}: {error.filename}).") from error


def _staging_parents(directory: Path) -> list[Path]:
    """Where a tree may be staged: above `configs/`, which no config glob reaches, else beside the program."""
    return [directory.parent.parent.parent, directory.parent]


def _prefix(directory: Path) -> str:
    return f".t0dspy-{directory.name}-"


def _staging_place(directory: Path) -> Path:
    device = directory.parent.stat().st_dev
    for parent in _staging_parents(directory):
        if parent.stat().st_dev == device and os.access(parent, os.W_OK):
            return Path(tempfile.mkdtemp(prefix=_prefix(directory), dir=parent))
    raise BundleError(f"{directory.parent}: not writable.")


def _clear_leftovers(directory: Path) -> None:
    """Remove what a killed writer left; if it died with the tree moved away, bring the tree back first."""
    for parent in _staging_parents(directory):
        for leftover in sorted(parent.glob(f"{_prefix(directory)}*")):
            if leftover.name.endswith("-old") and not directory.exists():
                leftover.rename(directory)
            else:
                shutil.rmtree(leftover, ignore_errors=True)


def _stage(directory: Path, staging: Path, files: Mapping[str, bytes]) -> None:
    hide = _STAGED if staging.parent == directory.parent else ""  # a *.toml there would be read as config
    staging.chmod(0o755)
    for path in directory.rglob("*") if directory.exists() else ():
        target = staging / path.relative_to(directory)
        if path.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        elif path.relative_to(directory).as_posix() not in files:
            target.parent.mkdir(parents=True, exist_ok=True)
            _link(path, target.with_name(target.name + hide))
    for name, data in files.items():
        target = staging / f"{name}{hide}"
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    if hide:
        for path in list(staging.rglob(f"*{_STAGED}")):
            path.rename(path.with_name(path.name.removesuffix(_STAGED)))


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _change_places(staging: Path, directory: Path) -> None:
    if not directory.exists():
        staging.rename(directory)
    elif not _exchange(staging, directory):
        old = staging.with_name(f"{staging.name}-old")
        directory.rename(old)
        staging.rename(directory)
        shutil.rmtree(old, ignore_errors=True)
    _sync(directory.parent)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two directories in one step; False where the platform or the file system cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "darwin":
        done = libc.renamex_np(os.fsencode(one), os.fsencode(other), _SWAP)
    elif hasattr(libc, "renameat2"):
        done = libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _EXCHANGE)
    else:
        return False
    if done == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(code, os.strerror(code), str(other))


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
