"""A web site of somebody else: it serves a page that attacks, and takes the page's report."""

import http.client
import json
import threading
from collections.abc import Iterable
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

PAGE = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
OWN = "/attack/"


class Attacker:
    """Listens on all loopback addresses, so that it has several names.

    With `rebound_to`, everything but its own page is passed on there as the browser sent it: the site's name leads to
    the victim now, as after DNS rebinding.
    """

    def __init__(self, rebound_to: str | None = None) -> None:
        self.targets: list[dict[str, Any]] = []
        """What the page is to send, as page.html describes it."""
        self.rebound_to = rebound_to
        self._reported = threading.Event()
        self._report: dict[str, str] = {}
        self._server = ThreadingHTTPServer(("0.0.0.0", 0), _handler_for(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._server.server_port)

    def page(self) -> bytes:
        return PAGE.replace("/*TARGETS*/", json.dumps(self.targets)).encode()

    def take(self, report: dict[str, str]) -> None:
        self._report = report
        self._reported.set()

    def report(self, patience: float = 100) -> dict[str, str]:
        """What the page could read, by attempt; waits for it."""
        assert self._reported.wait(patience), "the page has not reported"
        self._reported.clear()
        return self._report

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler_for(attacker: Attacker) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            if self.path.startswith(OWN):
                self._send(200, "text/html", attacker.page())
            else:
                self._pass_on()

        def do_POST(self) -> None:
            if self.path.startswith(OWN):
                self._send(200, "text/plain", b"")
                attacker.take(json.loads(self._body()))
            else:
                self._pass_on()

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def _pass_on(self) -> None:
            if attacker.rebound_to is None:
                return self._send(404, "text/plain", b"")
            return self._send(*_asked(attacker.rebound_to, self.command, self.path, self.headers.items(), self._body()))

        def _send(self, status: int, kind: str, data: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler


def _asked(url: str, method: str, path: str, headers: Iterable[tuple[str, str]], body: bytes) -> tuple[int, str, bytes]:
    """Status, content type and body of the answer to a request that is sent as it came."""
    with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)) as victim:
        victim.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            victim.putheader(name, value)
        victim.endheaders(body)
        answer = victim.getresponse()
        return answer.status, answer.getheader("content-type") or "text/plain", answer.read()


class Sink:
    """A server that believes everybody, to see what the page does reach: the attempts that arrived, by name."""

    def __init__(self) -> None:
        self.arrived: set[str] = set()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: Any) -> None:
                pass

            def do_GET(self) -> None:
                sink.arrived.add(self.path.rpartition("via=")[2])
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                data = b"window.reached = true" if not body else b"{}"
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_POST = do_OPTIONS = do_GET

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
