"""Lock files: at most one process holds one, and a killed process holds none."""

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
        seconds: how long to wait for another process.
        remove: whether the file is deleted at the end, as beside files that a user looks at.

    Raises:
        LockedError: another process held it for all of `seconds`.
        OSError: the disk refuses.
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
            path.unlink(missing_ok=True)  # while it is held: filelock makes a new file for whoever waits
        lock.release()


def is_held(path: Path) -> bool:
    """Return whether a process holds the lock file at `path`; True as well if that cannot be found out."""
    if not path.exists():
        return False
    try:
        with hold(path):
            return False
    except (LockedError, OSError):
        return True
