"""Post to one URL over kept connections, with `http.client`, which takes a quarter of the processor time of httpx."""

import http.client
import select
import socket
import ssl
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx

_KEPT = 256
"""The maximum number of idle connections."""


class Connections:
    """Connections to one URL, for any number of threads at once. Errors are those of httpx."""

    def __init__(self, url: str, headers: Mapping[str, str], path: str | None) -> None:
        """Prepare for posts of JSON to `url`; if `path` is given, they go to the Unix socket there."""
        self._url, self._path = httpx.URL(url), path
        self._headers = {"Content-Type": "application/json", **headers}
        self._target = self._url.raw_path.decode()
        self._idle: deque[http.client.HTTPConnection] = deque(maxlen=_KEPT)

    def post(self, content: bytes, timeout: float | None) -> tuple[int, bytes]:
        """Post `content` and return the status and the body of the answer.

        Args:
            content: the body.
            timeout: the longest time to wait for the next bytes, in seconds; None for no limit.

        Raises:
            httpx.ConnectError: the connection failed, so that nothing was sent.
            httpx.TransportError: the answer was lost, or did not arrive in time.
        """
        connection = self._take(timeout)
        with _translate_errors(connection):
            connection.request("POST", self._target, content, self._headers)
            response = connection.getresponse()
            answer = response.status, response.read()
        if not response.will_close:
            self._idle.append(connection)
        return answer

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    def _take(self, timeout: float | None) -> http.client.HTTPConnection:
        """Return a connected connection with this time limit."""
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread took it
                break
            if _is_open(connection):
                connection.sock.settimeout(timeout)
                return connection
            connection.close()
        connection = self._new()
        try:
            connection.connect()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise httpx.ConnectError(str(error)) from error
        connection.sock.settimeout(timeout)
        return connection

    def _new(self) -> http.client.HTTPConnection:
        if self._path is not None:
            return _UnixConnection(self._path)
        if self._url.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self._url.host, self._url.port, timeout=10, context=context)
        if self._url.scheme != "http":
            raise httpx.UnsupportedProtocol(f"the protocol of {str(self._url)!r} is not HTTP")
        return http.client.HTTPConnection(self._url.host, self._url.port, timeout=10)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _is_open(connection: http.client.HTTPConnection) -> bool:
    """Return whether the server has not closed an idle connection, which would make it readable."""
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return not poll.poll(0)


@contextmanager
def _translate_errors(connection: http.client.HTTPConnection) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        connection.close()
        raise httpx.ReadTimeout(str(error)) from error
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        raise httpx.ReadError(str(error)) from error
    except BaseException:
        connection.close()  # an interrupted exchange leaves an answer behind
        raise
