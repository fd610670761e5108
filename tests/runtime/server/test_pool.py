"""Workers that cannot be started for a while, and a reload for a request that nobody waits for any more."""

import asyncio
import errno
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import t0dspy
from support.served import ECHO
from t0dspy.runtime.server import pool as pools
from t0dspy.runtime.server.pool import Busy, Size
from t0dspy.runtime.server.pools import Pools


@pytest.fixture
def configs(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One exported program that needs Python."""
    (project / "pooled.py").write_text(ECHO)
    monkeypatch.syspath_prepend(str(project))
    monkeypatch.setenv("PYTHONPATH", str(project))
    monkeypatch.delitem(sys.modules, "pooled", raising=False)
    options: dict[str, Any] = {"model": "openai::m", "signature": "question -> answer", "verify": False}
    t0dspy.export("pooled:program", "configs", name="echo", **options)
    return project / "configs"


def failing(times: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Have the next `times` starts of a worker fail for want of descriptors; the result asks for so many more."""
    start, left = pools.Process.start, [times]

    async def limited(*arguments: Any, **options: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return await start(*arguments, **options)

    monkeypatch.setattr(pools.Process, "start", limited)
    return lambda: left.__setitem__(0, times)


def test_workers_that_cannot_be_started(configs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one is tried again; a reload that gets none says why, and the present one stays. Then an export
    that is asked for is loaded, although the request gave up before that.
    """
    fail_again = failing(1, monkeypatch)

    async def live() -> None:
        pool = Pools(configs, "http://127.0.0.1:1", Size(workers=1))
        try:
            await pool.start()
            assert await pool.knows("echo", "v1")
            fail_again()
            await pool.reload()
            assert pool.reload_refused == "new workers of echo could not be started (Too many open files)."
            assert (pool.workers, pool.reloads) == (1, 1)
            await _catches_up(pool)
        finally:
            await pool.close()

    async def _catches_up(pool: Pools) -> None:
        shutil.copytree(configs / "programs" / "echo", configs / "programs" / "later")
        manifest = configs / "programs" / "later" / "manifest.json"
        manifest.write_text(manifest.read_text().replace('"echo"', '"later"'))
        assert await pool.knows("later", "v1")
        os.utime(manifest)
        monkeypatch.setattr(pools, "PATIENCE", 0.05)
        with pytest.raises(Busy):
            await pool.knows("later", "v2")
        monkeypatch.setattr(pools, "PATIENCE", 60.0)
        assert not await pool.knows("later", "v2")
        assert (pool.workers, pool.reloads) == (2, 1)

    asyncio.run(asyncio.wait_for(live(), 120))
