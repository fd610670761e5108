"""A process of the stack, started and stopped by the supervisor."""

import asyncio
import os
import re
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from t0dspy.stack.gateway.reports import Report, parse_report

_PREFIX = re.compile(r"^(?:t0dspy|chdb_http): ")


class Child:
    """A child process with its output and its reports."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, show: Callable[[str], None]) -> None:
        self.name, self.process, self._show = name, process, show
        self.reports: asyncio.Queue[Report] = asyncio.Queue()
        self.ended = asyncio.create_task(process.wait())
        self._silent: deque[str] | None = deque(maxlen=30)
        self._readers = [asyncio.create_task(self._relay_output())]

    @classmethod
    async def start(
        cls,
        name: str,
        command: Sequence[str],
        show: Callable[[str], None],
        *,
        env: Mapping[str, str],
        fds: tuple[int, ...] = (),
        reporting: bool = False,
    ) -> "Child":
        """Start a process, and collect its output until `start_relaying`.

        Args:
            name: the part of the stack.
            command: the command line.
            show: called with each line of output after `start_relaying`.
            env: the environment of the process.
            fds: file descriptors that the process inherits.
            reporting: whether the command gets `--report-fd` for its reports, and a pipe as its standard input, to
                which `write_line` writes.
        """
        ours, theirs = os.pipe() if reporting else (-1, -1)
        process = await asyncio.create_subprocess_exec(
            *command,
            *(["--report-fd", str(theirs)] if reporting else []),
            env=dict(env),
            pass_fds=(*fds, theirs) if reporting else fds,
            stdin=asyncio.subprocess.PIPE if reporting else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # only the supervisor gets Ctrl-C; it stops the parts in order
        )
        child = cls(name, process, show)
        if reporting:
            os.close(theirs)
            child._readers.append(asyncio.create_task(child._read_reports(ours)))
        return child

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self.process.pid

    def start_relaying(self, *, from_start: bool = False) -> None:
        """Relay further output of the process; with `from_start`, also the output from its start."""
        for line in self._silent or () if from_start else ():
            if not line.startswith("ready "):
                self._show(line)
        self._silent = None

    async def read_last_line(self) -> str:
        """Return the last line of output of a process that ended during its start."""
        await asyncio.wait(self._readers, timeout=1)
        lines = [_PREFIX.sub("", line) for line in self._silent or () if line.strip()]
        return lines[-1] if lines else f"exit code {self.process.returncode}"

    def signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.send_signal(number)

    def write_line(self, text: str) -> None:
        """Write a line to the standard input of a reporting process."""
        if self.process.stdin is not None and not self.process.stdin.is_closing():
            self.process.stdin.write(f"{text}\n".encode())

    async def stop(self, patience: float, grace: float = 0.0) -> None:
        """Stop the process with SIGTERM, with a second SIGTERM after `patience` seconds, and at last with SIGKILL.

        A part finishes its requests in flight after the first SIGTERM, and cuts them after the second one.

        Args:
            patience: seconds between the first and the second SIGTERM.
            grace: seconds between the second SIGTERM and SIGKILL; if 0, there is no second SIGTERM.
        """
        self.signal(signal.SIGTERM)
        await asyncio.wait({self.ended}, timeout=patience)
        if not self.ended.done() and grace:
            self.signal(signal.SIGTERM)
            await asyncio.wait({self.ended}, timeout=grace)
        self.signal(signal.SIGKILL)
        await self.ended
        await asyncio.wait(self._readers, timeout=1)

    async def _relay_output(self) -> None:
        assert self.process.stdout is not None  # noqa: S101 - it was started with a pipe
        while chunk := await _line(self.process.stdout):
            line = chunk.decode(errors="replace").rstrip("\n")
            if self._silent is None:
                self._show(line)
            else:
                self._silent.append(line)

    async def _read_reports(self, fd: int) -> None:
        reader = asyncio.StreamReader(limit=1 << 24)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(fd, "rb"))
        while line := await reader.readline():
            self.reports.put_nowait(parse_report(line))
        transport.close()


async def _line(stream: asyncio.StreamReader) -> bytes:
    try:
        return await stream.readuntil(b"\n")
    except asyncio.IncompleteReadError as error:
        return error.partial
    except asyncio.LimitOverrunError as error:
        return await stream.read(max(error.consumed, 1))
