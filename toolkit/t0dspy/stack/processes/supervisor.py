"""The stack as one: its parts started in order, watched, told to reload, stopped in order."""

import asyncio
import signal
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, Protocol

from localkit.shortage import check_machine, explain
from t0dspy.errors import StackError, translate_local_errors
from t0dspy.readiness.problems import Problems
from t0dspy.stack.processes import data_dir
from t0dspy.stack.processes.plan import Plan
from t0dspy.stack.processes.processes import Parts
from t0dspy.stack.processes.watched_files import Stamps, changes, look

INTERRUPTED = 130


class Audience(Protocol):
    """Whoever watches the stack run: the command line, a test."""

    def preparing(self, migrations: int) -> None:
        """The first start has applied so many migrations."""

    def ready(self, urls: dict[str, str], problems: Problems) -> None:
        """An inference would work now, but for `problems`; `urls` by part."""

    def reloaded(self, changed: Sequence[str], kept: str, problems: Problems) -> None:
        """Programs were imported again, on request or for `changed` files; `kept` says why the old code stays."""

    def say(self, text: str) -> None:
        """Something a person may want to know."""


class Supervisor:
    """Runs a plan until it is told to stop, or a part ends by itself."""

    def __init__(self, plan: Plan, audience: Audience) -> None:
        self._plan, self._audience = plan, audience
        self._parts = Parts(plan, audience.say, audience.preparing)
        self._stop, self._stop_at_once = asyncio.Event(), asyncio.Event()
        self._changed: list[str] | None = None
        """The files whose change asks for a reload; None when nobody asks for one."""
        self._reloading: asyncio.Task[None] | None = None
        self._started = False

    async def run(self) -> int:
        """The exit code: 0 after a clean stop, 130 when it was stopped at once.

        Raises StackError when the stack cannot start or a part ends; nothing is left running then.
        """
        self._listen_to_signals()
        with translate_local_errors(StackError):
            check_machine(self._plan.data_dir)
        with data_dir.held(self._plan.data_dir, self._plan.parts):
            try:
                await self._unless(self._stop, self._start_and_watch())
                drained = await self._unless(self._stop_at_once, self._parts.drain())
            finally:
                await self._parts.end()
        return 0 if drained else INTERRUPTED

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._asked_to_stop)
        loop.add_signal_handler(signal.SIGHUP, self._asked_to_reload, ())

    def _asked_to_reload(self, changed: Sequence[str]) -> None:
        self._parts.reload_gateway()  # at once: a rollback does not wait until programs are imported
        self._changed = [*(self._changed or ()), *changed]
        if self._started and (self._reloading is None or self._reloading.done()):
            self._reloading = asyncio.get_running_loop().create_task(self._reload())

    async def _reload(self) -> None:
        while self._changed is not None:  # what is asked for during a reload is one more
            changed, self._changed = self._changed, None
            try:
                kept = await self._parts.reload_programs()
            except OSError as error:  # a full disk, most likely; the stack goes on
                self._audience.say(f"The outcome of the reload cannot be written to stack.json ({error.strerror}).")
            else:
                self._audience.reloaded(changed, kept, self._parts.problems)

    async def _watch_files(self, known: Stamps) -> None:
        assert self._plan.watched is not None  # noqa: S101 - the only caller looked
        async for changed in changes(*self._plan.watched, known):
            self._asked_to_reload(changed)

    def _asked_to_stop(self) -> None:
        (self._stop_at_once if self._stop.is_set() else self._stop).set()

    async def _unless(self, event: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
        """Do `work` until it is done (True) or the event is set (False); what it raises is raised."""
        task, waiting = asyncio.create_task(work), asyncio.create_task(event.wait())
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if task.done():
            task.result()
            return True
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        return False

    async def _start_and_watch(self) -> None:
        watched = self._plan.watched
        known = await asyncio.to_thread(look, *watched) if watched else {}  # before a part reads any of the files
        try:
            await self._parts.start()
            await self._parts.look()
        except (StackError, OSError) as error:
            if shortage := explain(str(error), self._plan.data_dir):
                raise StackError(shortage) from error
            raise
        self._audience.ready(self._parts.urls, self._parts.problems)
        self._started = True
        if self._changed is not None:  # asked for while it started
            self._asked_to_reload(())
        watching = asyncio.create_task(self._watch_files(known)) if watched else None
        try:
            await self._parts.watch()
        finally:
            for task in (watching, self._reloading):
                if task is not None:
                    task.cancel()
