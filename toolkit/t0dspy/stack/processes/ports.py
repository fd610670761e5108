"""Ports to listen on: bound before anything starts, so that a taken one is known at once."""

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


def listen(host: str, port: int, what: str) -> socket.socket:
    """A socket bound to `host` and `port` (0: a free one) for `what`; raises StackError when that cannot be."""
    try:
        bound = bind(host, port)
    except OSError as error:
        raise StackError(_why(host, port, what, error)) from error
    bound.set_inheritable(True)
    return bound


@contextlib.contextmanager
def private_socket(directory: Path) -> Iterator[tuple[socket.socket, Path]]:
    """A bound Unix socket that only this user can connect to, and its path; the path is removed at the end.

    It is in `directory` (mode 0700), or in a temporary one if the path is too long or the file system has no sockets.
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


def free(host: str, port: int, what: str) -> int:
    """The port, or a free one for 0, after a look that nobody holds it; raises StackError when somebody does."""
    with contextlib.closing(listen(host, port, what)) as bound:
        bound.listen(1)  # a bind alone succeeds beside a socket that has not begun to listen
        return int(bound.getsockname()[1])


def _why(host: str, port: int, what: str, error: OSError) -> str:
    option = f"--{what}-port"
    if error.errno == errno.EADDRINUSE:
        holder = _holder(port) or "another process"
        return f"Port {port}, wanted for {what}, is in use by {holder}. Stop it, or choose another port with {option}."
    if error.errno == errno.EACCES:
        return f"Port {port} may not be opened by this user. Choose one above 1023 with {option}."
    return f"Cannot listen on {host}:{port} for {what}: {error.strerror or error}. See --host and {option}."


def _holder(port: int) -> str | None:
    """Who listens on `port`, as far as /proc shows it to us."""
    inodes = _listening_inodes(port)
    for link in Path("/proc").glob("[0-9]*/fd/*") if inodes else ():
        with contextlib.suppress(OSError):
            if os.readlink(link) in inodes:
                process = link.parent.parent
                return f"{(process / 'comm').read_text().strip()} (process {process.name})"
    return None


def _listening_inodes(port: int) -> set[str]:
    found = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        with contextlib.suppress(OSError):
            rows = [line.split() for line in table.read_text().splitlines()[1:]]
            found |= {f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and int(row[1].split(":")[-1], 16) == port}
    return found
