"""A provider that falls silent in the middle of a stream, and clients that read such streams."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx

_CHUNK = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "scripted"}
_DELTA = {**_CHUNK, "choices": [{"index": 0, "delta": {"role": "assistant", "content": "4"}, "finish_reason": None}]}
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


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
