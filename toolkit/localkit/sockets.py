"""Create sockets for servers."""

import socket


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to `host` and `port` (0: a free one) and does not listen yet.

    Raises:
        OSError: if the host is unknown, or the port is taken or not allowed.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound
