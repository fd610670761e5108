"""The kept connections to the gateway: errors, reuse, closed peers, Unix sockets."""

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer

import httpx
import pytest

from t0dspy.gateway.connections import Connections
from t0dspy.testing import Reply, ScriptedUpstream

BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Zürich 東"}]}).encode()


@contextmanager
def connections(server: ScriptedUpstream) -> Iterator[Connections]:
    kept = Connections(f"{server.url}/chat/completions", {"Authorization": "Bearer k"}, None)
    try:
        yield kept
    finally:
        kept.close()


def test_answers_of_many_threads_do_not_mix() -> None:
    """Each thread gets the answer to its own request, over connections that are kept."""
    script = lambda request: request.body["messages"][0]["content"]  # noqa: E731
    with ScriptedUpstream(script) as server, connections(server) as kept:

        def ask(number: int) -> str:
            body = {"model": "m", "messages": [{"role": "user", "content": str(number)}]}
            status, answer = kept.post(json.dumps(body).encode(), 10)
            assert status == 200
            return str(json.loads(answer)["choices"][0]["message"]["content"])

        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(ask, range(80))) == [str(number) for number in range(80)]
        assert all(request.headers["Authorization"] == "Bearer k" for request in server.requests)


def test_a_status_is_an_answer() -> None:
    """A refusal has a status and a body."""
    with ScriptedUpstream(Reply("no", status=503)) as server, connections(server) as kept:
        status, answer = kept.post(BODY, 10)
        assert (status, json.loads(answer)["error"]["message"]) == (503, "no")


def test_nothing_listens() -> None:
    """The error is that of a failed connection, so that the caller knows that nothing was sent."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(httpx.ConnectError):
        Connections(f"http://127.0.0.1:{port}/x", {}, None).post(BODY, 5)
    with pytest.raises(httpx.UnsupportedProtocol, match="is not HTTP"):
        Connections("ftp://127.0.0.1/x", {}, None).post(BODY, 5)


def test_an_answer_that_is_lost_or_late() -> None:
    """A connection that breaks, or an answer that does not come in time, is not a failed connection."""
    with ScriptedUpstream(Reply(hang_up=True)) as server, connections(server) as kept:
        with pytest.raises(httpx.ReadError):
            kept.post(BODY, 5)
        server.script = Reply("late", delay=2)
        with pytest.raises(httpx.ReadTimeout):
            kept.post(BODY, 0.2)
        server.script = "in time"
        assert kept.post(BODY, 5)[0] == 200  # the broken connection was not kept


def test_a_connection_that_the_server_closed_is_not_used_again() -> None:
    """A gateway that restarts closes its idle connections."""
    with ScriptedUpstream("one") as server, connections(server) as kept:
        assert kept.post(BODY, 5)[0] == 200
        (idle,) = kept._idle
        idle.sock.shutdown(socket.SHUT_RDWR)  # as when the peer closes: the socket is readable and has no bytes
        assert kept.post(BODY, 5)[0] == 200


def test_a_unix_socket(tmp_path: Path) -> None:
    """The program server reaches the gateway over a private socket."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    path = str(tmp_path / "socket")
    with ThreadingUnixStreamServer(path, Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        kept = Connections("http://localhost/x", {}, path)
        assert kept.post(BODY, 5) == (200, BODY)
        assert kept.post(BODY, 5) == (200, BODY)
        kept.close()
        server.shutdown()
