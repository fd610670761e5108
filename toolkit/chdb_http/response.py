"""The HTTP response to a query: buffered while the result is small, then streamed."""

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

from chdb_http import compression
from chdb_http.engine import Engine
from chdb_http.engine_error import EngineError
from chdb_http.execution import Execution
from chdb_http.query import Outcome
from chdb_http.request import Delivery
from chdb_http.result_pipe import ClientGoneError, Pipe

BUFFERED = 1 << 20
"""Bytes of a result that are buffered, so that a late error still gets its HTTP status: ClickHouse's default."""

_PIECE = 1 << 18


class QueryResponse(Response):
    """A response that runs a query and sends its result.

    A query that fails before `BUFFERED` bytes of result answers with its status. Later, the error is appended to the
    body and the connection is cut, as ClickHouse does. If the client goes away, a reading query is cancelled.
    """

    def __init__(self, engine: Engine, execution: Execution, delivery: Delivery, workers: Executor) -> None:
        """Prepare the response. The query runs on `workers` when the server calls the response."""
        self._engine, self._execution, self._delivery, self._workers = engine, execution, delivery, workers
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the query and send the response."""
        gone = asyncio.ensure_future(_wait_for_disconnect(receive))
        try:
            with Pipe(gone) as pipe, tempfile.SpooledTemporaryFile(BUFFERED + _PIECE) as held:
                loop, end = asyncio.get_running_loop(), pipe.take_writing_end()
                running = loop.run_in_executor(self._workers, self._execution.run, end)
                running.add_done_callback(_ignore_failure)
                try:
                    await self._deliver(send, pipe, held, running)
                except ClientGoneError:
                    pipe.close()
                    await self._stop(running)
        finally:
            gone.cancel()

    async def _deliver(self, send: Send, pipe: Pipe, held: IO[bytes], running: "Future[Outcome]") -> None:
        await pipe.wait_briefly(running)
        ended = await self._hold(pipe, held)
        if not ended:
            await self._stream(send, _pieces(held, pipe), running)
            return
        try:
            outcome = await pipe.unless_gone(running)
        except EngineError as failure:
            await _send_all(send, *error_message(failure, self._engine, self._delivery))
            return
        if held.tell() > BUFFERED:
            await self._stream(send, _pieces(held, None), running, self._summary(outcome))
        else:
            held.seek(0)
            await self._send_held(send, outcome, outcome.body or held.read())

    async def _hold(self, pipe: Pipe, held: IO[bytes]) -> bool:
        """Read the result into `held`, and return whether it is complete."""
        while piece := await pipe.read(_PIECE):
            held.write(piece)
            if held.tell() > BUFFERED and not self._delivery.whole:
                return False
        return True

    async def _send_held(self, send: Send, outcome: Outcome, body: bytes) -> None:
        headers = self._summary(outcome)
        if outcome.format is not None:
            headers |= self._format_headers(outcome.format)
        if body and self._delivery.encoding:
            headers["content-encoding"] = self._delivery.encoding
            body = await asyncio.to_thread(_compressed, self._delivery.encoding, body)
        await _send_all(send, 200, self._usual_headers() | headers, body)

    async def _stream(
        self,
        send: Send,
        pieces: AsyncIterator[bytes],
        running: "Future[Outcome]",
        more: Mapping[str, str] | None = None,
    ) -> None:
        tag, encoding = secrets.token_hex(8), self._delivery.encoding
        headers = self._usual_headers() | self._format_headers(self._execution.format) | dict(more or {})
        headers |= {"x-clickhouse-exception-tag": tag} | ({"content-encoding": encoding} if encoding else {})
        compressor = compression.compressor(encoding) if encoding else compression.PLAIN
        await _begin(send, 200, headers)
        async for piece in pieces:
            data = await asyncio.to_thread(compressor.compress, piece) if encoding else piece
            if data:
                await _send_piece(send, data)
        try:
            await running
        except EngineError as failure:
            await _send_piece(
                send, compressor.compress(_trailing_error(failure, self._engine, tag)) + compressor.flush()
            )
        else:  # without a last piece, the server cuts the connection
            await _send_piece(send, compressor.flush(), last=True)

    async def _stop(self, running: "Future[Outcome]") -> None:
        pause = 0.02
        while not running.done():
            await asyncio.to_thread(self._execution.cancel)
            await asyncio.wait({running}, timeout=pause)
            pause = min(pause * 2, 1.0)

    def _usual_headers(self) -> dict[str, str]:
        return common_headers(self._engine, self._delivery) | {"x-clickhouse-timezone": self._execution.timezone}

    def _format_headers(self, name: str) -> dict[str, str]:
        return {"x-clickhouse-format": name, "content-type": self._engine.content_type(name)}

    def _summary(self, outcome: Outcome) -> dict[str, str]:
        counts = {name: str(count) for name, count in vars(outcome.counts).items()}
        return {"x-clickhouse-summary": json.dumps(counts | {"total_rows_to_read": "0"}, separators=(",", ":"))}


def common_headers(engine: Engine, delivery: Delivery) -> dict[str, str]:
    """Return the headers of every response to a query."""
    return {
        "x-clickhouse-query-id": delivery.query_id,
        "x-clickhouse-server-display-name": engine.host,
        "x-clickhouse-timezone": engine.timezone,
        "content-type": "text/plain; charset=UTF-8",
    }


def error_message(failure: EngineError, engine: Engine, delivery: Delivery) -> tuple[int, dict[str, str], bytes]:
    """Return the status, headers and body with which ClickHouse reports `failure`."""
    headers = common_headers(engine, delivery) | {"x-clickhouse-exception-code": str(failure.code)}
    if failure.status == 401:
        headers["www-authenticate"] = 'Basic realm="ClickHouse server HTTP API"'
    return failure.status, headers, _error_text(failure, engine)


def _error_text(failure: EngineError, engine: Engine) -> bytes:
    return f"{failure} (version {engine.version})\n".encode(errors="replace")


def _trailing_error(failure: EngineError, engine: Engine, tag: str) -> bytes:
    """Return the block that clients look for at the end of a body that is cut off by an error."""
    text = _error_text(failure, engine)
    return b"\r\n__exception__\r\n%b\r\n%b%d %b\r\n__exception__\r\n" % (tag.encode(), text, len(text), tag.encode())


async def _pieces(held: IO[bytes], pipe: Pipe | None) -> AsyncIterator[bytes]:
    held.seek(0)
    while piece := held.read(_PIECE):
        yield piece
        await asyncio.sleep(0)  # other requests run, and a disconnect of the client is noticed
    while pipe is not None and (piece := await pipe.read(_PIECE)):
        yield piece
        await asyncio.sleep(0)  # a fast engine would otherwise block other requests


async def _send_all(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    await _begin(send, status, {**headers, "content-length": str(len(body))})
    await _send_piece(send, body, last=True)


async def _begin(send: Send, status: int, headers: Mapping[str, str]) -> None:
    raw = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})


async def _send_piece(send: Send, data: bytes, *, last: bool = False) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": not last})


def _compressed(encoding: str, body: bytes) -> bytes:
    compressor = compression.compressor(encoding)
    return compressor.compress(body) + compressor.flush()


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _ignore_failure(running: "Future[Outcome]") -> None:
    """Retrieve the exception, so that asyncio does not log a failure after the client has disconnected."""
    if not running.cancelled():
        running.exception()
