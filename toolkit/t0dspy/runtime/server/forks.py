"""Start worker processes: forks of a template on Linux, and separate interpreters elsewhere."""

import asyncio
import itertools
import json
import os
import socket
import sys
from collections.abc import Sequence
from typing import Any, Protocol

_MESSAGE = 65536


class Child(Protocol):
    """A worker process; `asyncio.subprocess.Process` is one."""

    @property
    def pid(self) -> int:
        """Return the process id."""

    @property
    def returncode(self) -> int | None:
        """Return the exit code, or the negative number of the signal that ended it; None while it runs."""

    async def wait(self) -> int:
        """Wait for the end of the process, and return `returncode`."""


class Forks:
    """Starts workers. The template starts with the first worker, and again if it ended."""

    def __init__(self) -> None:
        self._template: _Front | None = None
        self._starting = asyncio.Lock()

    async def start(self, arguments: Sequence[str], descriptor: int) -> Child:
        """Start a worker.

        Args:
            arguments: the flags of the worker, without `--fd` and `--parent-pid`.
            descriptor: the worker's end of its socket.

        Raises:
            OSError: no process could be started.
        """
        if sys.platform != "linux":  # on macOS, a fork without exec breaks system libraries
            flags = [*arguments, "--fd", str(descriptor), "--parent-pid", str(os.getpid())]
            return await _spawn("worker", flags, descriptor)
        async with self._starting:
            if self._template is None or self._template.is_gone:
                self._template = await _Front.start()
        return await self._template.fork(arguments, descriptor)

    async def close(self) -> None:
        """End the template, and all workers that are left."""
        if self._template is not None:
            await self._template.close()


class _Fork:
    """A forked worker."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = asyncio.Event()

    def end(self, code: int) -> None:
        self.returncode = code
        self._ended.set()

    async def wait(self) -> int:
        await self._ended.wait()
        return self.returncode or 0


class _Front:
    """The front process's end of the socket to a template."""

    def __init__(self, process: asyncio.subprocess.Process, control: socket.socket) -> None:
        self._process, self._control = process, control
        self._ids = itertools.count()
        self._asked: dict[int, asyncio.Future[_Fork]] = {}
        self._forks: dict[int, _Fork] = {}
        self.is_gone = False
        asyncio.get_running_loop().add_reader(control, self._read)

    @classmethod
    async def start(cls) -> "_Front":
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            process = await _spawn("template", ["--fd", str(theirs.fileno())], theirs.fileno())
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        return cls(process, ours)

    async def fork(self, arguments: Sequence[str], descriptor: int) -> _Fork:
        number = next(self._ids)
        asked: asyncio.Future[_Fork] = asyncio.get_running_loop().create_future()
        self._asked[number] = asked
        message = json.dumps({"id": number, "arguments": list(arguments)}).encode()
        try:
            socket.send_fds(self._control, [message], [descriptor])
            return await asked
        finally:
            self._asked.pop(number, None)

    async def close(self) -> None:
        self._forget()
        await self._process.wait()

    def _read(self) -> None:
        try:
            data = self._control.recv(_MESSAGE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._forget()
        else:
            self._take(json.loads(data))

    def _take(self, message: dict[str, Any]) -> None:
        if "code" in message:
            fork = self._forks.pop(message["pid"], None)
            if fork is not None:
                fork.end(message["code"])
            return
        asked = self._asked.get(message["id"])
        fork = _Fork(message["pid"]) if "pid" in message else None
        if fork is not None:
            self._forks[fork.pid] = fork
        if asked is None or asked.done():
            return
        if fork is not None:
            asked.set_result(fork)
        else:
            asked.set_exception(OSError(0, message["error"]))

    def _forget(self) -> None:
        """Close the socket, which ends the template; its workers end with it."""
        if self.is_gone:
            return
        self.is_gone = True
        asyncio.get_running_loop().remove_reader(self._control)
        self._control.close()
        for asked in self._asked.values():
            if not asked.done():
                asked.set_exception(ConnectionResetError("the process that forks the workers ended"))
        for fork in self._forks.values():
            fork.end(-9)
        self._forks.clear()


async def _spawn(module: str, flags: Sequence[str], descriptor: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *[sys.executable, "-P", "-m", f"t0dspy.runtime.server.{module}", *flags],
        pass_fds=[descriptor],
        # Workaround (dspy 3.4): `dspy.Parallel` draws a progress bar to stderr, which is the server's log; remove
        # when the bar is off by default.
        env={**os.environ, "TQDM_DISABLE": "1"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
    )
