"""The pipe of a result: the engine writes to one end, and the event loop reads from the other."""

import asyncio
import contextlib
import fcntl
import os
from typing import Any, Self, TypeVar

_CAPACITY = 1 << 20
_MOMENT = 0.02

T = TypeVar("T")


class ClientGoneError(Exception):
    """The client has disconnected."""


class Pipe:
    """A pipe that the event loop reads. The caller that takes the writing end closes it."""

    def __init__(self, gone: "asyncio.Future[None]") -> None:
        """Open the pipe. `gone` is done when the client has disconnected."""
        self._gone = gone
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        if hasattr(fcntl, "F_SETPIPE_SZ"):  # not on macOS
            with contextlib.suppress(OSError):  # a user's pipes may be limited; a smaller one works, too
                fcntl.fcntl(self._read, fcntl.F_SETPIPE_SZ, _CAPACITY)

    def take_writing_end(self) -> int:
        """Return the writing end, which the caller must close."""
        taken, self._write = self._write, -1
        return taken

    async def read(self, size: int) -> bytes:
        """Return up to `size` bytes, and none at the end. Raises ClientGoneError if the client has disconnected."""
        while True:
            if self._gone.done():
                raise ClientGoneError
            try:
                return os.read(self._read, size)
            except BlockingIOError:
                await self._readable()

    async def wait_briefly(self, running: "asyncio.Future[T]") -> None:
        """Wait briefly for `running` to end, so that a small result can be read at once."""
        waited: set[asyncio.Future[Any]] = {running, self._gone}
        await asyncio.wait(waited, timeout=_MOMENT, return_when=asyncio.FIRST_COMPLETED)

    async def unless_gone(self, result: "asyncio.Future[T]") -> T:
        """Return the value of `result`. Raises ClientGoneError if the client disconnects first."""
        waited: set[asyncio.Future[Any]] = {result, self._gone}
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if not result.done():
            raise ClientGoneError
        return result.result()

    def close(self) -> None:
        """Close the ends that were not taken. A writer gets an error from then on."""
        for end in (self._read, self._write):
            if end >= 0:
                os.close(end)
        self._read = self._write = -1

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        readable: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._read, lambda: None if readable.done() else readable.set_result(None))
        try:
            await asyncio.wait({readable, self._gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            loop.remove_reader(self._read)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
