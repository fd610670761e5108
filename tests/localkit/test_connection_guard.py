"""Connections that never finish a request are cut; a slow upload is not; a full port makes room."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localkit.connection_guard import Guard, connection_limit

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


async def _size(request: Request) -> Response:
    return JSONResponse({"bytes": len(await request.body())})


@asynccontextmanager
async def port(guard: Guard) -> AsyncIterator[int]:
    """A server behind `guard`."""
    app = Starlette(routes=[Route("/", _size, methods=["GET", "POST"])])
    config = uvicorn.Config(app, port=0, http=guard.protocol(), lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = server.force_exit = True
        await task


async def sent(port: int, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    await writer.drain()
    return reader, writer


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    return int(head.split()[1]), await reader.readexactly(length)


def test_half_sent_requests_are_cut() -> None:
    """Half a header, half a body, and half a second request on a kept connection end with 408; silence just ends."""

    async def main() -> None:
        async with port(Guard(limit=50, silence=0.3)) as number:
            halves = [b"GET / HTTP/1.1\r\nhost: x\r\n", b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n1234"]
            for half in halves:
                reader, writer = await sent(number, half)
                status, reason = await answer(reader)
                assert (status, await reader.read()) == (408, b"")
                assert b"not complete after 0.3 s" in reason
                writer.close()
            reader, writer = await sent(number, GET)
            assert (await answer(reader))[0] == 200
            writer.write(GET[:20])
            assert (await answer(reader))[0] == 408
            writer.close()
            reader, writer = await sent(number, b"")
            assert await reader.read() == b""
            writer.close()

    asyncio.run(main())


def test_a_slow_upload_and_an_idle_connection_go_on() -> None:
    """Bytes that keep coming keep a request alive, and nobody minds a connection between two requests."""

    async def main() -> None:
        async with port(Guard(limit=50, silence=0.3)) as number:
            reader, writer = await sent(number, b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 12\r\n\r\n")
            for _ in range(12):
                writer.write(b"x")
                await asyncio.sleep(0.1)
            status, body = await answer(reader)
            assert (status, json.loads(body)) == (200, {"bytes": 12})
            await asyncio.sleep(0.8)
            writer.write(GET)
            assert (await answer(reader))[0] == 200
            writer.close()

    asyncio.run(main())


def test_a_full_port_makes_room() -> None:
    """Unfinished requests give way to new ones; where all are at work, a new one gets a 503 that says why."""

    async def main() -> None:
        guard = Guard(limit=3, silence=30)
        async with port(guard) as number:
            held = [await sent(number, b"GET / HTTP/1.1\r\n") for _ in range(3)]
            while len(guard.held) < 3:
                await asyncio.sleep(0.01)
            reader, writer = await sent(number, GET)
            status, reason = await answer(reader)
            assert (status, reason) == (503, b"This port holds 3 connections; try again.\n")
            writer.close()
            for connection in guard.held:
                connection.heard -= 5
            reader, writer = await sent(number, GET)
            assert (await answer(reader))[0] == 200
            assert (await answer(held[0][0]))[0] == 408 or (await answer(held[1][0]))[0] == 408
            for _, one in held:
                one.close()
            writer.close()

    asyncio.run(main())


def test_the_limit_follows_the_descriptors() -> None:
    """900 held connections cannot use up a process that may open 1,024 files."""
    assert 8 <= connection_limit(share=3) <= 4096
