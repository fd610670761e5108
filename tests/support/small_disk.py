"""A file system of its own, which is quickly full."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def can_mount() -> bool:
    """Whether this process may mount a file system; root in a container without the capability may not."""
    command = ["unshare", "-m", "true"]
    may_unshare = shutil.which("unshare") and not subprocess.run(command, capture_output=True, check=False).returncode
    return os.geteuid() == 0 and bool(may_unshare)


@contextmanager
def small_disk(directory: Path, megabytes: int) -> Iterator[Path]:
    """Mount a file system of that size at `directory`."""
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(directory)], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)
