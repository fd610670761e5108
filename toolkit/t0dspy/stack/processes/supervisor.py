"""Start the parts of a stack in order, watch and reload them, and stop them in order."""

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
from t0dspy.stack.processes.watched_files import Stamps, changes, read_stamps

INTERRUPTED = 130


class Display(Protocol):
    """Shows the events of a stack to the user."""

    def show_migrations(self, migrations: int) -> None:
        """Show the progress of the first start: the number of applied migrations."""

    def show_ready(self, urls: dict[str, str], problems: Problems) -> None:
        """Show that the stack answers inferences, except for `problems`; `urls` are by part."""

    def show_reload(self, changed: Sequence[str], kept: str, problems: Problems) -> None:
        """Show the result of a reload of the programs.

        Args:
            changed: the files whose change caused the reload; empty if it was requested.
            kept: the reason why the old code stays; empty if the new code is used.
            problems: the problems after the reload.
        """

    def show_message(self, text: str) -> None:
        """Show a message."""


class Supervisor:
    """Runs a stack until a signal stops it or a part ends by itself."""

    def __init__(self, plan: Plan, display: Display) -> None:
        self._plan, self._display = plan, display
        self._parts = Parts(plan, display.show_message, display.show_migrations)
        self._stop, self._stop_at_once = asyncio.Event(), asyncio.Event()
        self._changed: list[str] | None = None
        """The files whose change requests a reload; None if no reload is requested."""
        self._reloading: asyncio.Task[None] | None = None
        self._started = False

    async def run(self) -> int:
        """Run the stack, and return the exit code: 0 after a clean stop, 130 after an immediate stop.

        Raises:
            StackError: the stack cannot start, or a part ended by itself. All parts are stopped then.
        """
        self._listen_to_signals()
        with translate_local_errors(StackError):
            check_machine(self._plan.data_dir)
        with data_dir.hold(self._plan.data_dir, self._plan.parts):
            try:
                await self._run_unless(self._stop, self._start_and_watch())
                drained = await self._run_unless(self._stop_at_once, self._parts.drain())
            finally:
                await self._parts.end()
        return 0 if drained else INTERRUPTED

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._request_stop)
        loop.add_signal_handler(signal.SIGHUP, self._request_reload, ())

    def _request_reload(self, changed: Sequence[str]) -> None:
        self._parts.reload_gateway()  # at once, so that a rollback does not wait for programs to be imported
        self._changed = [*(self._changed or ()), *changed]
        if self._started and (self._reloading is None or self._reloading.done()):
            self._reloading = asyncio.get_running_loop().create_task(self._reload())

    async def _reload(self) -> None:
        while self._changed is not None:  # requests during a reload cause one more reload
            changed, self._changed = self._changed, None
            try:
                kept = await self._parts.reload_programs()
            except OSError as error:  # such as a full disk; the stack continues
                reason = f"The outcome of the reload cannot be written to stack.json ({error.strerror})."
                self._display.show_message(reason)
            else:
                self._display.show_reload(changed, kept, self._parts.problems)

    async def _watch_files(self, known: Stamps) -> None:
        assert self._plan.watched is not None  # noqa: S101 - the only caller checked it
        async for changed in changes(*self._plan.watched, known):
            self._request_reload(changed)

    def _request_stop(self) -> None:
        (self._stop_at_once if self._stop.is_set() else self._stop).set()

    async def _run_unless(self, event: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
        """Run `work`, and cancel it if `event` is set first. Return whether it ended; its exceptions are raised."""
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
        known = await asyncio.to_thread(read_stamps, *watched) if watched else {}  # before a part reads the files
        try:
            await self._parts.start()
            await self._parts.check_programs()
        except (StackError, OSError) as error:
            if shortage := explain(str(error), self._plan.data_dir):
                raise StackError(shortage) from error
            raise
        self._display.show_ready(self._parts.urls, self._parts.problems)
        self._started = True
        if self._changed is not None:  # requested during the start
            self._request_reload(())
        watching = asyncio.create_task(self._watch_files(known)) if watched else None
        try:
            await self._parts.watch()
        finally:
            for task in (watching, self._reloading):
                if task is not None:
                    task.cancel()
