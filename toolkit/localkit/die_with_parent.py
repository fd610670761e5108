"""End a child process with its supervisor, even if the supervisor was killed or the child hangs."""

import ctypes
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

_PR_SET_PDEATHSIG = 1
_KERNEL_LATER = 2
"""The additional time after which the kernel ends a process that could not end itself, in seconds."""


def die_with(parent: int) -> None:
    """Kill this process as soon as its parent, the process id `parent`, has ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # the only way on macOS; on Linux it covers a parent that ended before prctl
    when_gone(parent, lambda: os.kill(os.getpid(), signal.SIGKILL))


def when_gone(parent: int, act: Callable[[], None]) -> None:
    """Call `act` in a separate thread as soon as the parent of this process is not the process id `parent`."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.25)
        act()

    threading.Thread(target=watch, daemon=True, name="orphan-watch").start()


def end_within(seconds: float) -> None:
    """End this process with exit code 0 after `seconds`, unless it ends earlier.

    A thread does this. If it cannot run, because other code holds Python's global lock, the kernel ends the process two
    seconds later by SIGALRM. Rows that were acknowledged are on disk by then.
    """

    def end() -> None:
        time.sleep(seconds)
        with suppress(OSError):  # the other end is closed
            os.write(2, b"t0dspy: a statement did not end in time and was cut.\n")
        os._exit(0)

    signal.alarm(math.ceil(seconds) + _KERNEL_LATER)
    threading.Thread(target=end, daemon=True, name="end-within").start()
