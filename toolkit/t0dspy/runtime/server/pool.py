"""Assign the runs of one program to its worker processes, queue runs when all are full, and replace workers."""

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from t0dspy.artifact.bundle import MANIFEST
from t0dspy.artifact.exported import program_directory
from t0dspy.runtime.server.forks import Forks
from t0dspy.runtime.server.logs import log
from t0dspy.runtime.server.messages import Offer, Order, Outcome
from t0dspy.runtime.server.process import Process
from t0dspy.runtime.server.trial import find_loss

GRACE = 2.0
"""Seconds after its deadline in which a run may still end by itself, because it checks the deadline at each stage."""

TRIAL = 120.0
"""Seconds until workers with reloaded code must be ready."""

PATIENCE = 30.0
"""Seconds that a request waits for a ready worker, or for workers that have loaded a new export."""


@dataclass(frozen=True)
class Size:
    """Limits of concurrency."""

    workers: int = 2
    """Worker processes, which the programs share equally; each program has at least one."""
    runs: int = 64
    """Concurrent runs per worker."""
    queue: int = 128
    """Runs of a program that wait while all its workers are full; more are refused."""


@dataclass
class Job:
    """A run, from its arrival until its outcome or its deadline."""

    order: Order
    deadline: float
    result: asyncio.Future[Outcome]
    worker: Process | None = None
    watch: asyncio.TimerHandle | None = field(default=None, repr=False)

    def settle(self, outcome: Outcome) -> None:
        """Set the outcome, unless the job already has one."""
        if not self.result.done():
            self.result.set_result(outcome)

    def fail(self, status: int, kind: str, text: str) -> None:
        """Set a failure as the outcome, unless the job already has one."""
        self.settle(Outcome(self.order.run, status, text, kind))


class Busy(Exception):  # noqa: N818 - becomes a response
    """All workers and the queue are full, or no worker is ready."""


class Pool:
    """Keeps the configured number of workers of a program alive and assigns runs to them."""

    def __init__(self, forks: Forks, program: str, configs: Path, gateway_url: str, size: Size) -> None:
        self._forks = forks
        self.program, self._configs, self._gateway_url, self.size = program, configs, gateway_url, size
        self._workers: list[Process] = []
        self._waiting: deque[Job] = deque()
        self._jobs: dict[str, Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()
        self._deaths = 0
        self._news = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._catching: asyncio.Task[None] | None = None
        self._loaded = self._stamp()
        self.broken = ""
        """Why no worker could load the program; empty once one could."""
        self.reload_refused = ""
        """Why the last reload was refused; empty if it was accepted. After a refusal the old workers stay."""

    @property
    def ready(self) -> int:
        """Return the number of workers that accept runs."""
        return sum(worker.is_ready for worker in self._workers)

    @property
    def in_flight(self) -> int:
        """Return the number of runs without an outcome."""
        return sum(not job.result.done() for job in self._jobs.values())

    async def start(self) -> None:
        """Start the workers, and return when the first one is ready or has failed."""
        for _ in range(self.size.workers):
            self._spawn()
        await self._news.wait()

    def offers(self) -> dict[str, Offer]:
        """Return what the most recently started ready worker can run."""
        for worker in reversed(self._workers):
            if worker.is_ready and worker.offers is not None:
                return worker.offers
        return {}

    async def knows(self, version: str) -> bool:
        """Return whether the workers have the version; first load exports that were made after the workers started.

        Raises:
            Busy: no worker is ready after `PATIENCE` seconds.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                while not self.ready:
                    await self._wait_for_news()
                if self._offers(version) is None:
                    await asyncio.shield(self._start_catch_up())  # other requests may wait for the same task
        except TimeoutError:
            raise Busy from None
        return self._offers(version) is not None

    def _start_catch_up(self) -> asyncio.Task[None]:
        if self._catching is None or self._catching.done():
            self._catching = asyncio.create_task(self._catch_up())
        return self._catching

    async def _catch_up(self) -> None:
        async with self._reloading:
            if self._stamp() != self._loaded:
                await self._replace_workers()

    async def reload(self) -> None:
        """Replace all workers with new ones, which import the program again, and return when one of them is ready.

        Runs that have begun finish in the old workers. If the new workers cannot run a version with traffic that the
        old workers can run, or if they do not get ready, the old workers stay and `reload_refused` has the reason.
        """
        async with self._reloading:
            await self._replace_workers()

    async def _replace_workers(self) -> None:
        log("info", "reloading", program=self.program)
        self._loaded = self._stamp()
        old = [worker for worker in self._workers if not worker.retiring]
        new: list[Process] = []
        try:
            for _ in range(self.size.workers):
                new.append(await self._start(on_trial=True))
            self.reload_refused = await self._try_workers(new)
        except OSError as error:
            self.reload_refused = f"new workers of {self.program} could not be started ({error.strerror})."
        if self.reload_refused:
            log("error", "reload refused", program=self.program, why=self.reload_refused)
        for worker in new if self.reload_refused else old:
            self._retire(worker, replace=False)
        for worker in new:
            worker.on_trial = False
            if worker not in self._workers and not self.reload_refused:  # it died while another one was loading
                self._spawn()
        self._news.set()
        self._dispatch()

    async def _try_workers(self, new: list[Process]) -> str:
        """Wait until one of the new workers is ready, and return why they must not replace the others, or ""."""
        try:
            async with asyncio.timeout(TRIAL):
                while True:
                    ready = next((worker for worker in new if worker.offers is not None), None)
                    if ready is not None:
                        return find_loss(self.offers(), ready.offers or {})
                    if not any(worker in self._workers for worker in new):
                        return f"the new workers of {self.program} ended while they loaded it ({new[-1].ending})."
                    await self._wait_for_news()
        except TimeoutError:
            return f"the new workers of {self.program} were not ready after {TRIAL:g} s."

    async def run(self, order: Order) -> Outcome:
        """Run `order` on a worker and return its outcome. If cancelled, the run stops before its next stage.

        Raises:
            Busy: all workers and the queue are full.
        """
        if len(self._waiting) >= self.size.queue and not any(map(self._has_room, self._workers)):
            raise Busy
        loop = asyncio.get_running_loop()
        job = Job(order, loop.time() + order.seconds, loop.create_future())
        job.watch = loop.call_at(job.deadline + GRACE, self._overdue, job)
        self._jobs[order.run] = job
        self._waiting.append(job)
        self._dispatch()
        try:
            return await job.result
        except asyncio.CancelledError:
            self._abandon(job)
            raise

    async def close(self) -> None:
        """End all workers."""
        self._closing.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for worker in self._workers:
            worker.kill()
        await asyncio.gather(*(worker.wait() for worker in list(self._workers)), return_exceptions=True)

    def _offers(self, version: str) -> str | None:
        offer = self.offers().get(self.program)
        return None if offer is None else offer.versions.get(version)

    def _stamp(self) -> int:
        """Return the modification time of the manifest, which changes with each export; 0 if there is none."""
        try:
            return (program_directory(self._configs, self.program) / MANIFEST).stat().st_mtime_ns
        except OSError:
            return 0

    def _spawn(self, delay: float = 0.0) -> None:
        async def start() -> None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), delay)
            if self._closing.is_set():
                return
            try:
                await self._start()
            except OSError as error:  # file descriptors or memory are used up, perhaps temporarily
                log("error", "worker not started", program=self.program, why=str(error.strerror))
                self._respawn_later()
                self._news.set()

        task = asyncio.create_task(start())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start(self, *, on_trial: bool = False) -> Process:
        calls = self._on_ready, self._on_outcome, self._on_gone
        worker = await Process.start(
            self._forks, self.program, self._configs, self._gateway_url, *calls, on_trial=on_trial
        )
        self._workers.append(worker)
        return worker

    async def _wait_for_news(self) -> None:
        self._news.clear()
        await self._news.wait()

    def _dispatch(self) -> None:
        while self._waiting:
            free = [worker for worker in self._workers if self._has_room(worker)]
            if not free:
                return
            job = self._waiting.popleft()
            if not job.result.done():
                job.worker = min(free, key=lambda worker: len(worker.runs))
                job.worker.order(_with_time_left(job))

    def _has_room(self, worker: Process) -> bool:
        return worker.is_ready and len(worker.runs) < self.size.runs

    def _on_ready(self, worker: Process) -> None:
        loss = "" if worker.on_trial else self._loss_by(worker)
        if loss:  # it replaces a worker that died, and imported code that changed since and is broken
            log("error", "worker not used", program=self.program, worker=worker.pid, why=loss)
            self._retire(worker, replace=False)
            self._respawn_later()
            return
        self._deaths, self.broken = 0, ""
        log("info", "worker ready", program=self.program, worker=worker.pid, programs=_runnable(worker))
        self._news.set()
        self._dispatch()

    def _loss_by(self, worker: Process) -> str:
        others = [other for other in self._workers if other.is_ready and other is not worker]
        return find_loss(others[-1].offers or {}, worker.offers or {}) if others else ""

    def _respawn_later(self) -> None:
        self._deaths += 1
        self._spawn(min(10.0, 0.25 * 2**self._deaths))

    def _on_outcome(self, worker: Process, outcome: Outcome) -> None:
        job = self._forget(outcome.run)
        if job is not None:
            job.settle(outcome)
        self._end_if_idle(worker)
        self._dispatch()

    def _on_gone(self, worker: Process) -> None:
        if worker in self._workers:
            self._workers.remove(worker)
        for run in list(worker.runs):
            job = self._forget(run)
            if job is not None:
                job.fail(500, "worker_died", f"the process that ran it ended ({worker.ending}) before the run {run}.")
        if worker.on_trial and not worker.retiring:
            log("error", "worker died on trial", program=self.program, worker=worker.pid, how=worker.ending)
        elif not worker.retiring and not self._closing.is_set():
            log(
                "error",
                "worker died",
                program=self.program,
                worker=worker.pid,
                how=worker.ending,
                runs=sorted(worker.runs),
            )
            if worker.offers is None:
                self.broken = f"its worker ended while it loaded the program ({worker.ending})."
                self._respawn_later()
            else:
                self._spawn()
        self._news.set()

    def _forget(self, run: str) -> Job | None:
        job = self._jobs.pop(run, None)
        if job is not None and job.watch is not None:
            job.watch.cancel()
        return job

    def _abandon(self, job: Job) -> None:
        """Cancel a run whose caller is gone: drop a waiting run, and stop a started one before its next stage."""
        if job.worker is None:
            self._waiting.remove(job)
            self._forget(job.order.run)
        else:
            job.worker.stop(job.order.run, "its caller went away.")

    def _overdue(self, job: Job) -> None:
        run = job.order.run
        job.fail(504, "deadline", f"the run {run} of {job.order.model} met its deadline after {job.order.seconds:g} s.")
        self._forget(run)
        if job.worker is None:
            self._waiting = deque(waiting for waiting in self._waiting if waiting is not job)
            return
        log("error", "run hangs", run=run, program=job.order.model, worker=job.worker.pid)
        job.worker.runs.discard(run)
        self._retire(job.worker, replace=True)

    def _retire(self, worker: Process, *, replace: bool) -> None:
        """Assign no more runs to `worker`, and end it after its other runs have ended."""
        if not worker.retiring:
            worker.retiring = True
            log("info", "worker retires", program=self.program, worker=worker.pid, runs=len(worker.runs))
            if replace:
                self._spawn()
        self._end_if_idle(worker)

    def _end_if_idle(self, worker: Process) -> None:
        if worker.retiring and not worker.runs:
            worker.kill()


def _with_time_left(job: Job) -> Order:
    left = job.deadline - asyncio.get_running_loop().time()
    order = job.order
    return replace(order, seconds=max(left, 0.001))


def _runnable(worker: Process) -> list[str]:
    offers = worker.offers or {}
    return [
        f"{name}/{version}"
        for name, offer in offers.items()
        for version, refusal in offer.versions.items()
        if not refusal
    ]
