"""A provider that falls silent in the middle of a stream, clients of such streams, and a statement that hangs."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx

from support.stack import Stack, wait_until

_CHUNK = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "scripted"}
_DELTA = {**_CHUNK, "choices": [{"index": 0, "delta": {"role": "assistant", "content": "4"}, "finish_reason": None}]}
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"

HANGING = "SELECT sum(editDistance(repeat('ab', 30000 + number % 7), repeat('ba', 30000))) FROM numbers(1000)"
"""A statement that the engine does not look up from for minutes, so `KILL QUERY` has no effect on it."""


@contextmanager
def silent_provider() -> Iterator[str]:
    """The address of a provider that begins every stream and then falls silent."""
    listener = socket.create_server(("127.0.0.1", 0))
    held: list[socket.socket] = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                held.append(connection)
                connection.recv(1 << 16)
                connection.sendall(_HEAD + b"data: " + json.dumps(_DELTA).encode() + b"\n\n")

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        for one in [listener, *held]:
            one.close()


def stream(url: str, body: dict[str, Any], lines: list[str]) -> threading.Thread:
    """Collect the events of a stream until it ends, however it ends."""

    def read() -> None:
        with (
            suppress(httpx.HTTPError),
            httpx.stream("POST", url, json=body, timeout=60, trust_env=False) as answer,
        ):
            lines.extend(answer.iter_lines())

    thread = threading.Thread(target=read)
    thread.start()
    return thread


def hang(stack: Stack) -> None:
    """Have the engine begin a statement that hangs."""
    url = stack.urls["clickhouse"]

    def ask() -> None:
        with suppress(httpx.HTTPError):
            httpx.post(url, content=HANGING, timeout=120, trust_env=False)

    threading.Thread(target=ask, daemon=True).start()
    running = "SELECT count() FROM system.processes WHERE query LIKE '%editDistance%' AND query NOT LIKE '%processes%'"
    wait_until(lambda: stack.rows(running) == [["1"]], 60)
