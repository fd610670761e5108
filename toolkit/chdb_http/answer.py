"""From a running query to an HTTP response: held back while it is small, then streamed."""

import asyncio
import json
import secrets
import tempfile
from asyncio import Future
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import Executor
from typing import IO

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from chdb_http import codec
from chdb_http.engine import Engine
from chdb_http.execution import Execution
from chdb_http.failure import EngineError
from chdb_http.pipe import ClientGoneError, Pipe
from chdb_http.query import Outcome
from chdb_http.request import Delivery

HELD = 1 << 20
"""Up to so many bytes of a result are held back, so that a late error still has its status: ClickHouse's default."""

_PIECE = 1 << 18


class Answer(Response):
    """Runs a query and sends what comes of it.

    A query that fails before `HELD` bytes of result answers with its status; afterwards the error is appended to the
    body and the connection is cut, as ClickHouse does. If the client goes away, a reading query is cancelled.
    """

    def __init__(self, engine: Engine, execution: Execution, delivery: Delivery, workers: Executor) -> None:
        """`workers` run the query; nothing happens before the server calls the response."""
        self._engine, self._execution, self._delivery, self._workers = engine, execution, delivery, workers
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        gone = asyncio.ensure_future(_gone(receive))
        try:
            with Pipe(gone) as pipe, tempfile.SpooledTemporaryFile(HELD + _PIECE) as held:
                running = asyncio.get_running_loop().run_in_executor(self._workers, self._execution.run, pipe.taken())
                running.add_done_callback(_noticed)
                try:
                    await self._deliver(send, pipe, held, running)
                except ClientGoneError:
                    pipe.close()
                    await self._stop(running)
        finally:
            gone.cancel()

    async def _deliver(self, send: Send, pipe: Pipe, held: IO[bytes], running: "Future[Outcome]") -> None:
        await pipe.quiet(running)
        ended = await self._hold(pipe, held)
        if not ended:
            await self._stream(send, _pieces(held, pipe), running)
            return
        try:
            outcome = await pipe.unless_gone(running)
        except EngineError as failure:
            await _send_all(send, *refusal(failure, self._engine, self._delivery))
            return
        if held.tell() > HELD:
            await self._stream(send, _pieces(held, None), running, self._summary(outcome))
        else:
            held.seek(0)
            await self._send_held(send, outcome, outcome.body or held.read())

    async def _hold(self, pipe: Pipe, held: IO[bytes]) -> bool:
        """Whether the whole result is in `held`."""
        while piece := await pipe.read(_PIECE):
            held.write(piece)
            if held.tell() > HELD and not self._delivery.whole:
                return False
        return True

    async def _send_held(self, send: Send, outcome: Outcome, body: bytes) -> None:
        headers = self._summary(outcome)
        if outcome.format is not None:
            headers |= self._described(outcome.format)
        if body and self._delivery.encoding:
            headers["content-encoding"] = self._delivery.encoding
            body = await asyncio.to_thread(_compressed, self._delivery.encoding, body)
        await _send_all(send, 200, self._usual() | headers, body)

    async def _stream(
        self,
        send: Send,
        pieces: AsyncIterator[bytes],
        running: "Future[Outcome]",
        more: Mapping[str, str] | None = None,
    ) -> None:
        tag, encoding = secrets.token_hex(8), self._delivery.encoding
        headers = self._usual() | self._described(self._execution.format) | dict(more or {})
        headers |= {"x-clickhouse-exception-tag": tag} | ({"content-encoding": encoding} if encoding else {})
        compressor = codec.compressor(encoding) if encoding else codec.PLAIN
        await _begin(send, 200, headers)
        async for piece in pieces:
            data = await asyncio.to_thread(compressor.compress, piece) if encoding else piece
            if data:
                await _send_piece(send, data)
        try:
            await running
        except EngineError as failure:
            await _send_piece(send, compressor.compress(_epitaph(failure, self._engine, tag)) + compressor.flush())
        else:  # without a last piece, the server cuts the connection
            await _send_piece(send, compressor.flush(), last=True)

    async def _stop(self, running: "Future[Outcome]") -> None:
        pause = 0.02
        while not running.done():
            await asyncio.to_thread(self._execution.cancel)
            await asyncio.wait({running}, timeout=pause)
            pause = min(pause * 2, 1.0)

    def _usual(self) -> dict[str, str]:
        return usual_headers(self._engine, self._delivery) | {"x-clickhouse-timezone": self._execution.timezone}

    def _described(self, name: str) -> dict[str, str]:
        return {"x-clickhouse-format": name, "content-type": self._engine.content_type(name)}

    def _summary(self, outcome: Outcome) -> dict[str, str]:
        counts = {name: str(count) for name, count in vars(outcome.counts).items()}
        return {"x-clickhouse-summary": json.dumps(counts | {"total_rows_to_read": "0"}, separators=(",", ":"))}


def usual_headers(engine: Engine, delivery: Delivery) -> dict[str, str]:
    """The headers of every answer to a query."""
    return {
        "x-clickhouse-query-id": delivery.query_id,
        "x-clickhouse-server-display-name": engine.host,
        "x-clickhouse-timezone": engine.timezone,
        "content-type": "text/plain; charset=UTF-8",
    }


def refusal(failure: EngineError, engine: Engine, delivery: Delivery) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body that say `failure` as ClickHouse does."""
    headers = usual_headers(engine, delivery) | {"x-clickhouse-exception-code": str(failure.code)}
    if failure.status == 401:
        headers["www-authenticate"] = 'Basic realm="ClickHouse server HTTP API"'
    return failure.status, headers, _said(failure, engine)


def _said(failure: EngineError, engine: Engine) -> bytes:
    return f"{failure} (version {engine.version})\n".encode(errors="replace")


def _epitaph(failure: EngineError, engine: Engine, tag: str) -> bytes:
    """The block that clients look for at the end of a body that breaks off."""
    said = _said(failure, engine)
    return b"\r\n__exception__\r\n%b\r\n%b%d %b\r\n__exception__\r\n" % (tag.encode(), said, len(said), tag.encode())


async def _pieces(held: IO[bytes], pipe: Pipe | None) -> AsyncIterator[bytes]:
    held.seek(0)
    while piece := held.read(_PIECE):
        yield piece
        await asyncio.sleep(0)  # the others' turn, which is also when it shows that the client is gone
    while pipe is not None and (piece := await pipe.read(_PIECE)):
        yield piece
        await asyncio.sleep(0)  # a fast engine would otherwise keep everybody else from it


async def _send_all(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    await _begin(send, status, {**headers, "content-length": str(len(body))})
    await _send_piece(send, body, last=True)


async def _begin(send: Send, status: int, headers: Mapping[str, str]) -> None:
    raw = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})


async def _send_piece(send: Send, data: bytes, *, last: bool = False) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": not last})


def _compressed(encoding: str, body: bytes) -> bytes:
    compressor = codec.compressor(encoding)
    return compressor.compress(body) + compressor.flush()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _noticed(running: "Future[Outcome]") -> None:
    """A failure that nobody waits for any more is not worth a line in the log."""
    if not running.cancelled():
        running.exception()
