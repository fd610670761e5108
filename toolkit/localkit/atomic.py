"""Replace files atomically: after a kill or a power cut, a file has either the old or the new content."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


def replace_file(path: Path, content: str | bytes, *, keep_mode: bool = False) -> None:
    """Replace the content of the file at `path` by `content`; a string is written as UTF-8.

    Args:
        path: the file; its directory must exist.
        content: the whole new content.
        keep_mode: whether the file keeps its mode. If not, only its owner may read it.

    Raises:
        OSError: if the write fails; the old file is unchanged.
        UnicodeEncodeError: if the text has no UTF-8 form; the old file is unchanged.
    """
    data = content.encode() if isinstance(content, str) else content
    with open_replacement(path, keep_mode=keep_mode) as file:
        file.write(data)


@contextmanager
def open_replacement(path: Path, *, suffix: str = "new", keep_mode: bool = False) -> Iterator[IO[bytes]]:
    """Open a file that replaces the file at `path` if the block ends without an error.

    Args:
        path: the file; its directory must exist. A symbolic link is replaced, and its target stays.
        suffix: the end of the temporary name, which needs the process id if several processes write at once.
        keep_mode: see `replace_file`.

    Raises:
        OSError: if the write fails; the old file is unchanged.
    """
    unfinished = path.with_name(f".{path.name}.{suffix}")
    unfinished.unlink(missing_ok=True)  # a killed writer may have left it
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if keep_mode else 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            if keep_mode and path.exists():
                unfinished.chmod(path.stat().st_mode & 0o7777)
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise
    sync(path.parent)


def sync(path: Path) -> None:
    """Sync a file, or the names in a directory, to the disk, so that it survives a power cut.

    Some file systems cannot sync a directory; the error is ignored, because the content itself is complete.
    """
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
