"""The server's port."""

import contextlib
import socket
from collections.abc import Iterator

from chdb_http.errors import ChdbHttpError
from localkit.sockets import bind


@contextlib.contextmanager
def bound(host: str, port: int) -> Iterator[socket.socket]:
    """Provide a listening socket. Call it before anything is opened, so that a taken port changes nothing."""
    try:
        listener = bind(host, port)
        listener.listen(1024)
    except socket.gaierror as error:
        raise ChdbHttpError(f"Cannot listen on {host}: {error.strerror or error}. Choose another --host.") from error
    except OSError as error:
        raise ChdbHttpError(
            f"Cannot listen on {host} port {port}: {error.strerror or error}. "
            "Stop what uses it, or choose another port."
        ) from error
    with listener:
        yield listener
