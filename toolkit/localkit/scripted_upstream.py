"""An OpenAI-compatible server that answers from a script and records every request."""

import itertools
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class RecordedRequest:
    """A request that the server received."""

    path: str
    body: dict[str, Any]
    headers: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class Reply:
    """The answer of the server: a completion with `text`, unless `status`, `raw` or `hang_up` change it."""

    text: str = ""
    status: int = 200
    """The HTTP status; for a status other than 200, the body is an OpenAI-style error object."""
    delay: float = 0.0
    """The delay before the answer, in seconds."""
    raw: bytes | None = None
    """The response body in place of a completion, for example invalid JSON."""
    hang_up: bool = False
    """Close the connection without an answer."""
    headers: Mapping[str, str] = field(default_factory=dict)
    usage: tuple[int, int] = (1, 1)
    """The numbers of prompt and completion tokens."""
    finish_reason: str = "stop"
    message: Mapping[str, Any] = field(default_factory=dict)
    """Keys of the answer's message that are added to its role and text, or replace them, such as `refusal`."""


Script = str | Reply | Callable[[RecordedRequest], "str | Reply"]


class ScriptedUpstream:
    """A small OpenAI-compatible server on localhost that answers from a script and records every request.

    It serves `POST /v1/chat/completions`, also as a stream, with a thread per connection. Use it as a context manager,
    or call `close`.

    Args:
        script: the text of every answer, a `Reply`, or a function from the recorded request to either. The attribute
            `script` may be replaced at any time.
        port: the port; 0 for a free one.

    Raises:
        OSError: if the port is taken.
    """

    def __init__(self, script: Script = "{}", port: int = 0) -> None:
        self.script = script
        self.requests: list[RecordedRequest] = []
        self._ids = itertools.count(1)
        self._server = _Server(("127.0.0.1", port), _handler_for(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Return the base URL for an OpenAI client, such as `http://127.0.0.1:4321/v1`."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def answer(self, request: RecordedRequest) -> Reply:
        """Record `request` and return the reply to it."""
        self.requests.append(request)
        reply = self.script(request) if callable(self.script) else self.script
        return Reply(reply) if isinstance(reply, str) else reply

    def next_id(self) -> str:
        """Return a completion id that is unique for this server."""
        return f"chatcmpl-{next(self._ids)}"

    def close(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 512

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that closed the connection."""


def _handler_for(upstream: ScriptedUpstream) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # write a reply at once, because two small writes take 40 ms (Nagle, delayed acknowledgments)

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            reply = upstream.answer(RecordedRequest(self.path, body, dict(self.headers)))
            if reply.delay:
                time.sleep(reply.delay)
            if reply.hang_up:
                self.close_connection = True
            elif reply.raw is None and reply.status == 200 and body.get("stream"):
                self._send(200, _stream(upstream.next_id(), body, reply), {"Content-Type": "text/event-stream"})
            else:
                content = _error(reply) if reply.status != 200 else _completion(upstream.next_id(), body, reply)
                data = reply.raw if reply.raw is not None else json.dumps(content).encode()
                self._send(reply.status, data, {"Content-Type": "application/json", **reply.headers})

        def _send(self, status: int, data: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

    return Handler


def _error(reply: Reply) -> dict[str, Any]:
    return {"error": {"message": reply.text or "scripted error", "type": "scripted", "code": reply.status}}


def _usage(reply: Reply) -> dict[str, int]:
    prompt, completion = reply.usage
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _completion(id: str, body: Mapping[str, Any], reply: Reply) -> dict[str, Any]:
    message = {"role": "assistant", "content": reply.text, **reply.message}
    head = {"id": id, "object": "chat.completion", "created": 1, "model": body.get("model", "scripted")}
    choice = {"index": 0, "finish_reason": reply.finish_reason, "message": message}
    return {**head, "choices": [choice], "usage": _usage(reply)}


def _stream(id: str, body: Mapping[str, Any], reply: Reply) -> bytes:
    head = {"id": id, "object": "chat.completion.chunk", "created": 1, "model": body.get("model", "scripted")}
    pieces = [reply.text[start : start + 7] for start in range(0, len(reply.text), 7)] or [""]
    deltas = [{"index": 0, "delta": {"role": "assistant", "content": piece}, "finish_reason": None} for piece in pieces]
    chunks = [{**head, "choices": [delta]} for delta in deltas]
    chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": reply.finish_reason}]})
    chunks.append({**head, "choices": [], "usage": _usage(reply)})
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"
