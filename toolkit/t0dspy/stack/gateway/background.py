"""Run work that continues after its client has disconnected, so that begun inferences are finished and stored."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

KEEP_ALIVE = 15.0
"""Seconds without data after which a stream sends a comment, as the gateway does."""

Send = Callable[[bytes], Awaitable[None]]


class Background:
    """Tasks that continue after their requests have ended, until `finish`."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self.is_cut = False
        """Whether `cut` was called, so that a cancelled task was cut."""

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start `work` as a task that runs to its end even if the request that waits for it is cancelled."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._discard)
        return task

    def _discard(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # asyncio logs an exception that nobody retrieved, as when the client is gone

    async def finish(self) -> None:
        """Wait until all tasks have ended."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> int:
        """Cancel all running tasks, and return their number. Streams end with an error event."""
        self.is_cut = True
        for task in list(self._tasks):
            task.cancel()
        return len(self._tasks)

    def relay(
        self, produce: Callable[[Send], Coroutine[Any, Any, None]], last_if_cut: bytes = b""
    ) -> AsyncIterator[bytes]:
        """Yield the bytes that `produce` sends. It runs to its end even if nobody reads all of them.

        Args:
            produce: sends the bytes.
            last_if_cut: the last bytes of a stream that is cut.
        """
        pipe = _Pipe()
        task = self.start(_fill(pipe, produce, last_if_cut))
        return pipe.read(task)


class _Pipe:
    """A short queue that does not block its writer after its reader has left."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=64)
        self._reader_left = asyncio.Event()

    async def send(self, piece: bytes | None) -> None:
        if not self._reader_left.is_set():
            await self._put(piece)

    async def _put(self, piece: bytes | None) -> None:
        if not self._queue.full():
            self._queue.put_nowait(piece)
            return
        put = asyncio.ensure_future(self._queue.put(piece))
        left = asyncio.ensure_future(self._reader_left.wait())
        await asyncio.wait({put, left}, return_when=asyncio.FIRST_COMPLETED)
        put.cancel()
        left.cancel()

    async def read(self, task: "asyncio.Task[None]") -> AsyncIterator[bytes]:
        try:
            while (piece := await self._next()) is not None:
                yield piece
            with suppress(Exception, asyncio.CancelledError):  # the stream's last event has the error
                await task
        finally:
            self._reader_left.set()

    async def _next(self) -> bytes | None:
        try:
            return await asyncio.wait_for(self._queue.get(), KEEP_ALIVE)
        except TimeoutError:
            return b":\n\n"


async def _fill(pipe: _Pipe, produce: Callable[[Send], Coroutine[Any, Any, None]], last_if_cut: bytes) -> None:
    try:
        await produce(pipe.send)
    except asyncio.CancelledError:
        await pipe.send(last_if_cut)
        raise
    finally:
        await pipe.send(None)
