"""Directories and files with users' texts: nobody but their owner may read them, whatever the umask is."""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import IO

_OTHERS = 0o077
PROJECT = ".t0dspy"
"""The directory in a project that holds the stack's data, retrains and records; git ignores all of it."""
IGNORE_ALL = "*\n"
"""The `.gitignore` of a directory of which version control is to see nothing."""


def own(directory: Path) -> None:
    """Make `directory` where it is missing; a new one is closed to others, and version control passes it over.

    Raises:
        OSError: the disk refuses.
    """
    make(directory)
    if not any(directory.iterdir()):  # in one with files, what to keep of them is its owner's to say
        _ignore(directory)


def make(directory: Path) -> None:
    """Make `directory` and its missing parents with mode 0700; an existing one stays as it is.

    A project's `.t0dspy` at or above it gets a `.gitignore` for everything in it, unless it has one.

    Raises:
        OSError: the disk refuses.
    """
    missing = [place for place in (directory, *directory.parents) if not place.exists()]
    for place in reversed(missing):
        place.mkdir(mode=0o700, exist_ok=True)
    for place in (directory, *directory.absolute().parents):
        if place.name == PROJECT:
            with suppress(OSError):  # it may be another user's, as in a container that mounts what is below it
                _ignore(place)


def _ignore(directory: Path) -> None:
    with suppress(FileExistsError), (directory / ".gitignore").open("x", encoding="ascii") as file:
        file.write(IGNORE_ALL)


def tighten(path: Path) -> None:
    """Take the rights of group and others away from a file or directory of ours; another user's stays as it is."""
    with suppress(OSError):  # a file system without modes
        status = path.stat()
        if status.st_uid == os.geteuid() and status.st_mode & _OTHERS:
            path.chmod(stat.S_IMODE(status.st_mode) & ~_OTHERS)


def open_text(path: Path, mode: str = "w", *, errors: str | None = None) -> IO[str]:
    """Open a UTF-8 file that we alone may read, to write ("w") or append ("a"); an existing file's mode is tightened.

    Raises:
        OSError: the disk refuses.
    """
    flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if mode == "a" else os.O_TRUNC)
    file = os.fdopen(os.open(path, flags, 0o600), mode, encoding="utf-8", errors=errors)
    if path.is_file():  # not /dev/null
        tighten(path)
    return file


def close_to_others() -> None:
    """Make every file and directory that this process makes from now on readable by its owner alone."""
    os.umask(_OTHERS)
