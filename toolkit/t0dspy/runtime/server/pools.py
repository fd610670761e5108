"""Keep a pool of worker processes for each program, and send each run to the pool of its program.

Programs share no process, because `dspy.configure` and the globals of modules belong to the process: in a common one,
the program that is imported last would decide the LM, adapter and retriever of all.
"""

import asyncio
from collections.abc import Coroutine, Iterable
from dataclasses import replace
from pathlib import Path

from t0dspy.artifact.exported import ExportedProgram, program_directories
from t0dspy.errors import T0dspyError
from t0dspy.runtime.server.forks import Forks
from t0dspy.runtime.server.logs import log
from t0dspy.runtime.server.messages import Offer, Order, Outcome
from t0dspy.runtime.server.pool import Pool, Size

_STARTING = 4
"""Programs that are loaded at the same time."""


class Pools:
    """The pools of all exported programs that need Python."""

    def __init__(self, configs: Path, gateway_url: str, size: Size) -> None:
        self._configs, self._gateway_url, self._size = configs, gateway_url, size
        self._pools: dict[str, Pool] = {}
        self._versions: dict[str, list[str]] = {}
        self._changing = asyncio.Lock()
        self._forks = Forks()
        self.reloads = 0
        """The number of finished reloads, accepted or refused."""

    @property
    def workers(self) -> int:
        """Return the number of workers that accept runs."""
        return sum(pool.ready for pool in self._pools.values())

    @property
    def is_ready(self) -> bool:
        """Return whether a program can be run, or there is none."""
        return self.workers > 0 or not self._pools

    @property
    def in_flight(self) -> int:
        """Return the number of runs without an outcome."""
        return sum(pool.in_flight for pool in self._pools.values())

    @property
    def reload_refused(self) -> str:
        """Return why programs refused their last reload; empty if none did. Such a program keeps its old workers."""
        return " ".join(pool.reload_refused for pool in self._pools.values() if pool.reload_refused)

    def offers(self) -> dict[str, Offer]:
        """Return what the workers can run."""
        return {name: offer for pool in self._pools.values() for name, offer in pool.offers().items()}

    def broken(self) -> dict[str, str]:
        """Map `NAME/VERSION` to the reason why no worker could load the program; versions with a worker are absent."""
        return {
            f"{name}/{version}": pool.broken
            for name, pool in self._pools.items()
            for version in self._versions[name]
            if pool.broken and not pool.ready
        }

    async def start(self) -> None:
        """Start the workers, and return when each program has one that is ready or has failed."""
        await self._start_exported()

    async def knows(self, program: str, version: str) -> bool:
        """Return whether the workers have the version; first load exports that were made after the workers started.

        Raises:
            Busy: no worker of the program is ready after some seconds.
        """
        if program not in self._pools:
            await asyncio.shield(self._start_exported())  # other requests may wait for the same programs
        pool = self._pools.get(program)
        return pool is not None and await pool.knows(version)

    async def run(self, order: Order) -> Outcome:
        """Run `order` on a worker of its program and return its outcome.

        If cancelled, the run stops before its next stage.

        Raises:
            Busy: all workers of the program and its queue are full.
        """
        return await self._pools[order.program].run(order)

    async def reload(self) -> None:
        """Reload each program, start new ones, and end those that are gone. A program can refuse without the others."""
        async with self._changing:
            present = self._served()
            for name in self._pools.keys() - present.keys():
                await self._pools.pop(name).close()
            share = self._share(len(present))
            for pool in self._pools.values():
                pool.size = share
            known = list(self._pools.values())
            await self._start_new()
            await _limited(pool.reload() for pool in known)
            self.reloads += 1

    async def close(self) -> None:
        """End all workers."""
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))
        await self._forks.close()

    async def _start_exported(self) -> None:
        async with self._changing:
            await self._start_new()

    async def _start_new(self) -> None:
        self._versions = self._served()
        share = self._share(len(self._versions))
        new = {
            name: Pool(self._forks, name, self._configs, self._gateway_url, share)
            for name in self._versions
            if name not in self._pools
        }
        self._pools |= new
        await _limited(pool.start() for pool in new.values())

    def _share(self, programs: int) -> Size:
        return replace(self._size, workers=max(1, self._size.workers // max(1, programs)))

    def _served(self) -> dict[str, list[str]]:
        """Map each program that needs the program server to its versions that do."""
        served: dict[str, list[str]] = {}
        for directory in program_directories(self._configs):
            try:
                exported = ExportedProgram.from_directory(directory)
            except T0dspyError as error:
                log("error", "program refused", program=directory.name, why=str(error))
                continue
            versions = [version for version, entry in exported.manifest.versions.items() if entry.runs_on_server]
            served |= {exported.name: versions} if versions else {}
        return served


async def _limited(tasks: Iterable[Coroutine[None, None, None]]) -> None:
    """Run `tasks`, at most `_STARTING` of them at the same time."""
    limit = asyncio.Semaphore(_STARTING)

    async def run(task: Coroutine[None, None, None]) -> None:
        async with limit:
            await task

    await asyncio.gather(*map(run, tasks))
