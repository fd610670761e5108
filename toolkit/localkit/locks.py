"""Hold lock files: at most one process holds a lock, and a lock ends with its process."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from localkit.errors import LockedError


@contextmanager
def hold(path: Path, seconds: float = 0.0, *, remove: bool = False) -> Iterator[None]:
    """Hold the lock file at `path` until the end of the block.

    Args:
        path: the lock file; its directory must exist.
        seconds: the longest wait for another process.
        remove: whether to delete the file at the end, for a directory that users look at.

    Raises:
        LockedError: if another process held it for all of `seconds`.
        OSError: if the file cannot be written.
    """
    lock = FileLock(path, timeout=seconds)
    try:
        lock.acquire()
    except Timeout:
        raise LockedError(f"{path}: another process holds this lock.") from None
    try:
        yield
    finally:
        if remove:
            path.unlink(missing_ok=True)  # before the release: filelock creates a new file for a process that waits
        lock.release()


def is_held(path: Path) -> bool:
    """Return whether a process holds the lock file at `path`; also True if that is unknown."""
    if not path.exists():
        return False
    try:
        with hold(path):
            return False
    except (LockedError, OSError):
        return True
