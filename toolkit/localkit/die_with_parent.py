"""A child process that does not outlive its supervisor, however that one ended and whatever hangs in the child."""

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
"""Seconds after which the kernel ends a process that could not end itself."""


def die_with(parent: int) -> None:
    """Kill this process as soon as its parent, the process `parent`, is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # the only way on macOS; on Linux it catches a parent that was gone before prctl
    when_gone(parent, lambda: os.kill(os.getpid(), signal.SIGKILL))


def when_gone(parent: int, act: Callable[[], None]) -> None:
    """Call `act`, on a thread of its own, as soon as the parent of this process is not the process `parent`."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.25)
        act()

    threading.Thread(target=watch, daemon=True, name="orphan-watch").start()


def end_within(seconds: float) -> None:
    """End this process with exit code 0 after `seconds`, unless it has ended before.

    A thread does that. If it cannot run, because something keeps Python's global lock, the kernel ends the process two
    seconds later by SIGALRM. Rows that were acknowledged are on disk by then.
    """

    def end() -> None:
        time.sleep(seconds)
        with suppress(OSError):  # nobody reads it any more
            os.write(2, b"t0dspy: a statement did not end in time and was cut.\n")
        os._exit(0)

    signal.alarm(math.ceil(seconds) + _KERNEL_LATER)
    threading.Thread(target=end, daemon=True, name="end-within").start()
