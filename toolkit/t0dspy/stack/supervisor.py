"""The stack as one: its parts started in order, watched, told to reload, stopped in order."""

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Protocol

from t0dspy.stack import home
from t0dspy.stack.parts import Parts
from t0dspy.stack.plan import Plan

INTERRUPTED = 130


class Audience(Protocol):
    """Whoever watches the stack run: the command line, a test."""

    def preparing(self, migrations: int) -> None:
        """The first start has applied so many migrations."""

    def ready(self, urls: dict[str, str]) -> None:
        """An inference would work now; `urls` by part."""

    def say(self, text: str) -> None:
        """Something a person may want to know."""


class Supervisor:
    """Runs a plan until it is told to stop, or a part ends by itself."""

    def __init__(self, plan: Plan, audience: Audience) -> None:
        self._plan, self._audience = plan, audience
        self._parts = Parts(plan, audience.say, audience.preparing)
        self._stop, self._stop_at_once = asyncio.Event(), asyncio.Event()

    async def run(self) -> int:
        """The exit code: 0 after a clean stop, 130 when it was stopped at once.

        Raises StackError when the stack cannot start or a part ends; nothing is left running then.
        """
        self._listen_to_signals()
        with home.held(self._plan.data_dir, self._plan.parts):
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
        loop.add_signal_handler(signal.SIGHUP, self._parts.reload)

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
        await self._parts.start()
        if "gateway" in self._plan.parts:
            home.write_run_file(self._plan.data_dir, self._parts.running())
        self._audience.ready(self._parts.urls)
        await self._parts.watch()
