"""Bind the ports of a stack before it starts, so that a port in use is reported at once."""

import contextlib
import errno
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from localkit.sockets import bind
from t0dspy.errors import StackError

SOCKET = "gateway.sock"


def listen(host: str, port: int, part: str) -> socket.socket:
    """Return an inheritable socket that is bound to `host` and `port`, or to a free port if `port` is 0.

    Raises:
        StackError: the port cannot be bound; the message names `part`.
    """
    try:
        bound = bind(host, port)
    except OSError as error:
        raise StackError(_bind_error(host, port, part, error)) from error
    bound.set_inheritable(True)
    return bound


@contextlib.contextmanager
def private_socket(directory: Path) -> Iterator[tuple[socket.socket, Path]]:
    """Yield a bound Unix socket that only this user can connect to, and its path, which is removed at the end.

    It is in `directory` (mode 0700), or in a temporary directory if the path is too long or the file system does not
    support sockets.
    """
    with contextlib.ExitStack() as stack, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as bound:
        path = directory / SOCKET
        try:
            path.unlink(missing_ok=True)
            bound.bind(str(path))
        except OSError:
            path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="t0dspy-"))) / SOCKET
            bound.bind(str(path))
        path.chmod(0o600)
        stack.callback(path.unlink, missing_ok=True)
        yield bound, path


def find_free(host: str, port: int, part: str) -> int:
    """Return `port`, or any free port if it is 0, after a check that it is free.

    Raises:
        StackError: the port is in use; the message names `part`.
    """
    with contextlib.closing(listen(host, port, part)) as bound:
        bound.listen(1)  # bind alone succeeds if another socket is bound to the port but does not listen yet
        return int(bound.getsockname()[1])


def _bind_error(host: str, port: int, part: str, error: OSError) -> str:
    option = f"--{part}-port"
    if error.errno == errno.EADDRINUSE:
        holder = _find_holder(port) or "another process"
        return f"Port {port}, wanted for {part}, is in use by {holder}. Stop it, or choose another port with {option}."
    if error.errno == errno.EACCES:
        return f"Port {port} may not be opened by this user. Choose one above 1023 with {option}."
    return f"Cannot listen on {host}:{port} for {part}: {error.strerror or error}. See --host and {option}."


def _find_holder(port: int) -> str | None:
    """Return the name of the process that listens on `port`, if /proc shows it."""
    inodes = _listening_inodes(port)
    for link in Path("/proc").glob("[0-9]*/fd/*") if inodes else ():
        with contextlib.suppress(OSError):
            if os.readlink(link) in inodes:
                process = link.parent.parent
                return f"{(process / 'comm').read_text().strip()} (process {process.name})"
    return None


def _listening_inodes(port: int) -> set[str]:
    inodes = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        with contextlib.suppress(OSError):
            rows = [line.split() for line in table.read_text().splitlines()[1:]]
            listening = (row for row in rows if row[3] == "0A" and int(row[1].split(":")[-1], 16) == port)
            inodes |= {f"socket:[{row[9]}]" for row in listening}
    return inodes
