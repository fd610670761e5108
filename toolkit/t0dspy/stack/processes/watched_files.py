"""Watch the files of a project and its configs for changes by polling them."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from t0dspy.artifact.bundle import MANIFEST

Stamps = dict[str, tuple[int, int]]
"""Maps a path to the file's modification time in nanoseconds and its size."""

EVERY = 0.5
"""Seconds between two polls."""
_CONFIG = (".toml", ".minijinja", ".json")
_VENV = "pyvenv.cfg"


async def changes(project: Path, configs: Path, known: Stamps, every: float = EVERY) -> AsyncIterator[list[str]]:
    """Yield the changed files whenever files have changed and then stayed unchanged for one poll.

    Args:
        project: a directory of Python files; hidden directories, virtual environments and caches in it are left out.
        configs: the directory of TensorZero's config.
        known: the result of `read_stamps` from before the files were read for the first time.
        every: seconds between two polls.
    """
    before = known
    while True:
        await asyncio.sleep(every)
        now = await asyncio.to_thread(read_stamps, project, configs)
        if now == before and now != known:  # an editor or a checkout writes many files in a row
            changed = sorted(path for path in known.keys() | now.keys() if known.get(path) != now.get(path))
            known = now
            yield changed
        before = now


def read_stamps(project: Path, configs: Path) -> Stamps:
    """Read the modification time and size of each Python file of the project and of each config file."""
    stamps = {}
    for path in (*_files(project, (".py",)), *_files(configs, _CONFIG)):
        try:
            stat = os.stat(path)
        except OSError:  # the file was removed
            continue
        stamps[path] = (stat.st_mtime_ns, stat.st_size)
    return stamps


def _files(root: Path, suffixes: tuple[str, ...]) -> Iterator[str]:
    for directory, below, names in os.walk(root):
        if _VENV in names:
            below.clear()
            continue
        below[:] = [name for name in below if not name.startswith((".", "__pycache__")) and name != "node_modules"]
        relevant = [name for name in names if name.endswith(suffixes) and name[0] != "." and name != MANIFEST]
        yield from (os.path.join(directory, name) for name in relevant)
