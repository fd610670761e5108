"""The server's port."""

import contextlib
import socket
from collections.abc import Iterator

from chdb_http.errors import ChdbHttpError


@contextlib.contextmanager
def bound(host: str, port: int) -> Iterator[socket.socket]:
    """A listening socket; bound before anything is opened, so that a taken port changes nothing."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ChdbHttpError(f"Cannot listen on {host}: {error.strerror or error}. Choose another --host.") from error
    with listener:
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(1024)
        except OSError as error:
            raise ChdbHttpError(
                f"Cannot listen on {host} port {port}: {error.strerror or error}. "
                "Stop what uses it, or choose another port."
            ) from error
        yield listener
