"""The files that a running stack was made of, watched for changes by looking at them again and again."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from t0dspy.artifact.bundle import MANIFEST

Stamps = dict[str, tuple[int, int]]
"""Path -> time of change in nanoseconds, and size."""

EVERY = 0.5
"""Seconds between two looks."""
_CONFIG = (".toml", ".minijinja", ".json")
_VENV = "pyvenv.cfg"


async def changes(project: Path, configs: Path, known: Stamps, every: float = EVERY) -> AsyncIterator[list[str]]:
    """Yield the changed files each time that files have changed and then stayed the same for a look.

    Args:
        project: a directory of Python files; hidden directories, virtual environments and caches in it are left out.
        configs: the directory of TensorZero's config.
        known: what `look` returned before the files were read for the first time.
        every: seconds between two looks.
    """
    before = known
    while True:
        await asyncio.sleep(every)
        now = await asyncio.to_thread(look, project, configs)
        if now == before and now != known:  # an editor or a checkout writes many files in a row
            changed = sorted(path for path in known.keys() | now.keys() if known.get(path) != now.get(path))
            known = now
            yield changed
        before = now


def look(project: Path, configs: Path) -> Stamps:
    """Return when each Python file of the project and each config file was changed."""
    stamps = {}
    for path in (*_files(project, (".py",)), *_files(configs, _CONFIG)):
        try:
            stat = os.stat(path)
        except OSError:  # gone meanwhile
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
