"""Check for shortages that keep the stack from starting or storing: disk space, inodes, file descriptors."""

import errno
import os
import re
import resource
from pathlib import Path

from localkit.errors import ShortageError

LEAST_BYTES = 8 << 20
"""The minimum number of free bytes for a start; the engine reserves some for each part that it writes."""
LEAST_INODES = 200
LEAST_FILES = 96
"""The minimum number of file descriptors for a start; the engine opens about 60 before its first query."""

_DISK = re.compile(r"No space left on device|NOT_ENOUGH_SPACE|Disk quota exceeded|errno:? 28\b")
_READ_ONLY = re.compile(r"Read-only file system|errno:? 30\b")
_BROKE = re.compile(r"error sending request|does not answer|ClickHouse is not healthy|ended by itself|could not start")
_USUAL_FILES = 256
_MOST_FILES = 65536
"""The target for the soft limit of open files, if the hard limit allows it."""
_FILES = re.compile(r"Too many open files|errno:? 24\b|\bEMFILE\b|\bENFILE\b")


def check_machine(data_dir: Path) -> None:
    """Raise the limit of open files as far as allowed, and check for the resources that a start needs.

    Args:
        data_dir: the data directory of ClickHouse; it need not exist.

    Raises:
        ShortageError: if there are too few descriptors, bytes or inodes.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _MOST_FILES and soft != hard:
        soft = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft != resource.RLIM_INFINITY and soft < LEAST_FILES:
        raise ShortageError(_too_few_files(soft))
    directory = next(path for path in (data_dir.absolute(), *data_dir.absolute().parents) if path.exists())
    room = os.statvfs(directory)
    full = room.f_blocks and room.f_bavail * room.f_frsize < LEAST_BYTES  # /proc has no blocks at all
    if full or (room.f_files and room.f_favail < LEAST_INODES):
        raise ShortageError(_too_little_disk(data_dir))


def explain(words: str, data_dir: Path) -> str | None:
    """Return the shortage that the text `words` of a failure shows, or None.

    If a connection between processes breaks and the limit of open files is low, the limit is the likely reason, because
    a process without a free descriptor cannot report it.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _FILES.search(words) or (_BROKE.search(words) and 0 < soft < _USUAL_FILES):
        return _too_few_files(soft)
    if _READ_ONLY.search(words):
        return f"The disk of {data_dir} is read-only. Mount it for writing, or choose another with --data-dir."
    return _too_little_disk(data_dir) if _DISK.search(words) else None


def trouble_storing(directory: Path) -> str:
    """Return why nothing can be stored below `directory`, after trying to write a small file; "" if it can."""
    probe = directory / f".storing-{os.getpid()}"
    try:
        file = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            written = os.write(file, bytes(_PROBE))
        finally:
            os.close(file)
            probe.unlink()
        if written < _PROBE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        return explain(error.strerror or "", directory) or f"{directory} cannot be written: {error.strerror or error}."
    return ""


_PROBE = 1 << 17


def _too_few_files(limit: int) -> str:
    return (
        f"A process may open only {limit} files (`ulimit -n`), which is too few. Raise the limit, for example "
        "with `ulimit -n 4096`, and start again."
    )


def _too_little_disk(data_dir: Path) -> str:
    directory = next(path for path in (data_dir.absolute(), *data_dir.absolute().parents) if path.exists())
    room = os.statvfs(directory)
    free = room.f_bavail * room.f_frsize / (1 << 20)
    inodes = f" and {room.f_favail} inodes" if room.f_files else ""
    return (
        f"The disk of {data_dir} is full: {free:.1f} MiB{inodes} are free. Make room there, or choose another "
        "directory with --data-dir."
    )
