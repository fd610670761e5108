"""The pipe that a result comes through: the engine writes at one end, the event loop reads at the other."""

import asyncio
import contextlib
import fcntl
import os
from typing import Any, Self, TypeVar

_CAPACITY = 1 << 20
_MOMENT = 0.02

T = TypeVar("T")


class ClientGoneError(Exception):
    """Nobody waits for the answer any more."""


class Pipe:
    """A pipe with its reading end in the event loop; whoever takes the writing end closes it."""

    def __init__(self, gone: "asyncio.Future[None]") -> None:
        """`gone` is done when the client has gone away."""
        self._gone = gone
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        if hasattr(fcntl, "F_SETPIPE_SZ"):  # not on macOS
            with contextlib.suppress(OSError):  # a user's pipes may be limited; a smaller one works, too
                fcntl.fcntl(self._read, fcntl.F_SETPIPE_SZ, _CAPACITY)

    def taken(self) -> int:
        """The writing end, which is the caller's now."""
        taken, self._write = self._write, -1
        return taken

    async def read(self, size: int) -> bytes:
        """The next bytes, up to `size`; none at the end. ClientGoneError if there is no use in reading on."""
        while True:
            if self._gone.done():
                raise ClientGoneError
            try:
                return os.read(self._read, size)
            except BlockingIOError:
                await self._readable()

    async def quiet(self, running: "asyncio.Future[T]") -> None:
        """Wait a moment for `running` to end: a small result is read at once then, and not as it comes."""
        waited: set[asyncio.Future[Any]] = {running, self._gone}
        await asyncio.wait(waited, timeout=_MOMENT, return_when=asyncio.FIRST_COMPLETED)

    async def unless_gone(self, result: "asyncio.Future[T]") -> T:
        """What `result` comes to; ClientGoneError if the client does not wait for it."""
        waited: set[asyncio.Future[Any]] = {result, self._gone}
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if not result.done():
            raise ClientGoneError
        return result.result()

    def close(self) -> None:
        """Close what is still ours; a writer gets an error from then on."""
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
