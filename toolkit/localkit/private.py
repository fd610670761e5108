"""Create directories and files with users' texts that only their owner may read, regardless of the umask."""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import IO

_OTHERS = 0o077
PROJECT = ".t0dspy"
"""The directory of a project with the stack's data, retrains and records; git ignores all of it."""
IGNORE_ALL = "*\n"
"""The `.gitignore` of a directory that version control ignores completely."""


def make_ignored(directory: Path) -> None:
    """Create `directory` if it is missing, readable by its owner only and ignored by version control.

    Raises:
        OSError: if it cannot be created.
    """
    make(directory)
    if not any(directory.iterdir()):  # if it has files, its owner decides what version control ignores
        _ignore(directory)


def make(directory: Path) -> None:
    """Create `directory` and its missing parents with mode 0700; existing directories do not change.

    If a project's `.t0dspy` is `directory` or one of its parents, it gets a `.gitignore` for all its content, unless it
    has one.

    Raises:
        OSError: if a directory cannot be created.
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
    """Remove the permissions of group and others from a file or directory, if this user owns it."""
    with suppress(OSError):  # a file system without modes
        status = path.stat()
        if status.st_uid == os.geteuid() and status.st_mode & _OTHERS:
            path.chmod(stat.S_IMODE(status.st_mode) & ~_OTHERS)


def open_text(path: Path, mode: str = "w", *, errors: str | None = None) -> IO[str]:
    """Open a UTF-8 file that only this user may read, to write ("w") or append ("a"); an existing file is tightened.

    Raises:
        OSError: if the file cannot be opened.
    """
    flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if mode == "a" else os.O_TRUNC)
    file = os.fdopen(os.open(path, flags, 0o600), mode, encoding="utf-8", errors=errors)
    if path.is_file():  # not /dev/null
        tighten(path)
    return file


def close_to_others() -> None:
    """Set the umask, so that only the owner may read the files that this process creates from now on."""
    os.umask(_OTHERS)
