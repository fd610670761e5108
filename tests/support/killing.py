"""Kill a writer with SIGKILL before each of its steps on the file system, one step further every time."""

import os
import signal
import sys
from collections.abc import Callable, Iterator

STEPS = {
    *("os.mkdir", "os.link", "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.symlink", "os.utime", "os.chown"),
    "ctypes.dlsym",  # the next thing is the call of renameat2
}
_SURVIVED = 0


def kill_at_every_step(
    action: Callable[[], object], also: frozenset[str] = frozenset(), stride: int = 1
) -> Iterator[int]:
    """Run `action` in a child that dies before its 1st, 2nd, 3rd ... step; yields each number once the child is dead.

    Ends when a child lived to the end of `action`. The caller puts things back between two numbers. `also` are more
    audit events that count as steps; with a `stride` of 3 it is the 1st, 4th, 7th ... step.
    """
    for number in range(1, 1000, stride):
        child = os.fork()
        if child == 0:
            _run_until(number, action, also)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            assert os.waitstatus_to_exitcode(status) == _SURVIVED, "the action itself failed; see its traceback"
            assert number > 1, "no step of the action was found, so nothing was killed"
            return
        yield number


def _run_until(number: int, action: Callable[[], object], also: frozenset[str]) -> None:
    left = number

    def step() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if event in STEPS or event in also or (event == "open" and _writes(arguments)):
            step()

    def synced(handle: int) -> None:
        step()  # what was written is in the file; durable or not makes no difference to a kill

    code = 1
    try:
        sys.addaudithook(watch)
        os.fsync = synced
        action()
        code = _SURVIVED
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def _writes(arguments: tuple[object, ...]) -> bool:
    flags = arguments[2]
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
