"""Work that goes on when its client has gone: the gateway finishes, and stores, what it has begun."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

KEEP_ALIVE = 15.0
"""Seconds of silence after which a stream says that it is still there, as the gateway does."""

Send = Callable[[bytes], Awaitable[None]]


class Background:
    """Tasks that outlive the requests they came from, until `finish`."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self.is_cut = False
        """Whether `cut` was called; what is cancelled since then was cut."""

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run `work` to its end, whatever becomes of whoever waits for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not report it when the client has gone

    async def finish(self) -> None:
        """Return when nothing is running any more."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> int:
        """Cancel everything that is running; returns how much that is. Streams end with an error event."""
        self.is_cut = True
        for task in list(self._tasks):
            task.cancel()
        return len(self._tasks)

    def relay(
        self, produce: Callable[[Send], Coroutine[Any, Any, None]], last_if_cut: bytes = b""
    ) -> AsyncIterator[bytes]:
        """The bytes that `produce` sends; it runs to its end even if nobody reads them to theirs.

        A stream that is cut ends with `last_if_cut`.
        """
        pipe = _Pipe()
        task = self.start(_filled(pipe, produce, last_if_cut))
        return pipe.read(task)


class _Pipe:
    """A short queue whose writer is never held up by a reader that left."""

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
            with suppress(Exception, asyncio.CancelledError):  # what went wrong was sent as the stream's last event
                await task
        finally:
            self._reader_left.set()

    async def _next(self) -> bytes | None:
        try:
            return await asyncio.wait_for(self._queue.get(), KEEP_ALIVE)
        except TimeoutError:
            return b":\n\n"


async def _filled(pipe: _Pipe, produce: Callable[[Send], Coroutine[Any, Any, None]], last_if_cut: bytes) -> None:
    try:
        await produce(pipe.send)
    except asyncio.CancelledError:
        await pipe.send(last_if_cut)
        raise
    finally:
        await pipe.send(None)
