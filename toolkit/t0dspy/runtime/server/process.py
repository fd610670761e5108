"""A worker process, controlled by the front process."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from t0dspy.runtime.server.forks import Child, Forks
from t0dspy.runtime.server.messages import Offer, Order, Outcome, frame, read_frame


class Process:
    """A worker, made by `start`. It calls the pool back when it is ready, when a run ends, and when it exits."""

    def __init__(self, process: Child, writer: asyncio.StreamWriter, *, on_trial: bool) -> None:
        self._process, self._writer = process, writer
        self.on_trial = on_trial
        """Whether it gets no runs yet, because its reloaded code was not yet compared with that of other workers."""
        self.offers: dict[str, Offer] | None = None
        """The versions that it can run, by the program's name; None until it is ready."""
        self.runs: set[str] = set()
        self.retiring = False
        self._reading: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls,
        forks: Forks,
        program: str,
        configs: Path,
        gateway_url: str,
        ready: "Callable[[Process], None]",
        done: "Callable[[Process, Outcome], None]",
        gone: "Callable[[Process], None]",
        *,
        on_trial: bool = False,
    ) -> "Process":
        """Start a worker process and read its messages until it exits.

        Args:
            forks: starts the process.
            program: the exported program that it runs. A worker has one program, because DSPy's settings and the
                globals of modules belong to the process.
            configs: the directory of TensorZero's config.
            gateway_url: the gateway that answers the stages.
            ready: called when the worker has loaded the program.
            done: called with the outcome of each run.
            gone: called after the process has exited.
            on_trial: whether the worker gets no runs yet.
        """
        ours, theirs = socket.socketpair()
        arguments = ["--program", program, "--configs", str(configs), "--gateway-url", gateway_url]
        try:
            process = await forks.start(arguments, theirs.fileno())
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        reader, writer = await asyncio.open_connection(sock=ours)
        worker = cls(process, writer, on_trial=on_trial)
        worker._reading = asyncio.create_task(worker._read(reader, ready, done, gone))
        return worker

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    @property
    def is_ready(self) -> bool:
        """Return whether the worker accepts runs."""
        return self.offers is not None and not self.retiring and not self.on_trial

    @property
    def ending(self) -> str:
        """Return how the process ended, such as `exit code 1` or `signal 9`."""
        code = self._process.returncode
        return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"

    def order(self, order: Order) -> None:
        """Send a run to the worker."""
        self.runs.add(order.run)
        self._writer.write(frame("order", order))

    def stop(self, run: str, reason: str) -> None:
        """Stop a run before its next stage."""
        if run in self.runs:
            self._writer.write(frame("stop", {"run": run, "why": reason}))

    def kill(self) -> None:
        """Kill the process."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)  # Popen.kill may reap a dead child before asyncio does

    async def wait(self) -> None:
        """Wait until the process has exited and all its messages are read."""
        if self._reading is not None:
            await self._reading

    async def _read(self, reader: asyncio.StreamReader, ready: Any, done: Any, gone: Any) -> None:
        while (message := await read_frame(reader)) is not None:
            kind, value = message
            if kind == "offers":
                self.offers = {name: Offer(**offer) for name, offer in value.items()}
                ready(self)
            else:
                outcome = Outcome(**value)
                self.runs.discard(outcome.run)
                done(self, outcome)
        self.kill()
        await self._process.wait()
        self._writer.close()
        gone(self)
