"""A process that has imported DSPy and forks the workers, so that they share its memory and start at once.

It has one thread and no user code, which makes forking safe. It ends when the front process closes the socket.
"""

import argparse
import gc
import json
import os
import selectors
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from t0dspy.runtime.server import worker

_MESSAGE = 65536
"""The maximum size of a message, in bytes."""


class _Template:
    """Answers `{"id": ..., "arguments": [...]}` with `{"id": ..., "pid": ...}`, and reports each worker that ended."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)

    def serve(self) -> None:
        """Fork workers until the front process closes the socket."""
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only for its wakeup
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._woken:
                        self._woken.recv(_MESSAGE)
                        self._reap()
                    elif not self._start():
                        return

    def _start(self) -> bool:
        """Fork a worker if the front process asks for one; return False if it closed the socket."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, _MESSAGE, 1)
        except ConnectionError:
            return False
        if not data:
            return False
        order = json.loads(data)
        try:
            pid = os.fork()
        except OSError as error:  # processes or memory are used up, perhaps temporarily
            os.close(descriptors[0])
            self._send({"id": order["id"], "error": error.strerror})
            return True
        if pid == 0:
            self._become_worker([*order["arguments"], "--fd", str(descriptors[0])])
        os.close(descriptors[0])
        self._send({"id": order["id"], "pid": pid})
        return True

    def _become_worker(self, arguments: list[str]) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for each in (self._control, self._wake, self._woken):
            each.close()
        try:
            worker.main([*arguments, "--parent-pid", str(os.getppid())])
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._send({"pid": pid, "code": os.waitstatus_to_exitcode(status)})

    def _send(self, message: dict[str, Any]) -> None:
        with suppress(OSError):  # the front process is gone, which the next read of the socket shows
            self._control.send(json.dumps(message).encode())


def main(argv: Sequence[str] | None = None) -> None:
    """Run the template. The front process starts it."""
    parser = argparse.ArgumentParser(prog="python -m t0dspy.runtime.server.template", description=__doc__)
    parser.add_argument("--fd", type=int, required=True)
    args = parser.parse_args(argv)
    gc.collect()
    gc.freeze()  # a collection in a worker would write to the shared pages
    _Template(socket.socket(fileno=args.fd)).serve()


if __name__ == "__main__":
    main()
