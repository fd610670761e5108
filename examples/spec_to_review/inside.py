"""Runs in the sandbox's process: locks itself in, runs the code, says what came out. Imports next to nothing.

What is locked, from the strongest layer to the weakest; each stands alone, and the first two depend on the kernel:

    landlock      no file outside the working directory, no TCP (Linux 5.13; TCP 6.7)
    namespaces    a network of its own, with nothing in it
    limits        CPU, memory, size of files, open files, processes (root is exempt from the last)
    audit hook    Python's own: no process, thread, socket, foreign file, signal to others, or import that was not asked
                  for in time; nothing within Python removes it

The process never learns which results are right, so there is nothing to gain from pretending.
"""

from __future__ import annotations

import ctypes
import marshal
import posix
import re
import resource
import struct
import sys

TYPE_CHECKING = False  # typing takes a while to import
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MODULES = frozenset(
    [
        "__future__",
        "abc",
        "bisect",
        "cmath",
        "collections",
        "copy",
        "dataclasses",
        "datetime",
        "decimal",
        "enum",
        "fractions",
        "functools",
        "heapq",
        "itertools",
        "math",
        "numbers",
        "operator",
        "random",
        "re",
        "statistics",
        "string",
        "textwrap",
        "typing",
        "unicodedata",
    ]
)
"""What code under test may import."""
HARMLESS = frozenset(
    [
        "compile",
        "exec",
        "builtins.id",
        "object.__getattr__",
        "object.__setattr__",
        "object.__delattr__",
        "sys._getframe",
        "array.__new__",
        "sys.excepthook",
        "sys.unraisablehook",
        "function.__new__",
    ]
)
FILES = frozenset(["open", "os.listdir", "os.scandir", "os.mkdir", "os.remove", "os.rmdir", "os.truncate"])
LONGEST = 20_000
"""Characters of a result."""


def main() -> None:
    """Read the task from standard input, answer on what was standard output."""
    task = marshal.loads(sys.stdin.buffer.read())  # noqa: S302  (from our own parent)
    answers = posix.dup(1)
    nothing = posix.open("/dev/null", posix.O_RDWR)
    for number in (0, 1, 2):
        posix.dup2(nothing, number)
    posix.close(nothing)
    for name in re.findall(r"^\s*(?:import|from)\s+(\w+)", task["code"], re.MULTILINE):
        if name in MODULES:
            __import__(name)
    import random  # noqa: F401  (what it loads is used by others too)
    import unicodedata  # noqa: F401  (the compiler imports it for names beyond ASCII)

    kernel = [name for name, lock in (("network", _no_network), ("files", _no_files)) if lock(task["directory"])]
    _limit(task)
    posix.write(answers, (repr(("locked", kernel)) + "\n").encode())
    sys.addaudithook(_hook(task["directory"]))
    _run(task, answers)
    posix._exit(0)


def _run(task: dict[str, Any], answers: int) -> None:
    module = sys.modules["solution"] = type(sys)("solution")  # dataclasses look their module up
    names = module.__dict__
    try:
        exec(compile(task["code"], "solution", "exec"), names)  # noqa: S102  (what this process is for)
    except BaseException as error:
        posix.write(answers, (repr(("broken", _said(error))) + "\n").encode())
    for at, call in enumerate(task["calls"]):
        try:
            found = ("result", at, _literal(eval(call, names)))  # noqa: S307
        except BaseException as error:
            found = ("raised", at, _said(error))
        posix.write(answers, (repr(found) + "\n").encode())


def _literal(value: object) -> str:
    _check(value)
    text = repr(value)
    if len(text) > LONGEST:
        raise ValueError("the result is too long")
    return text


def _check(value: Any) -> None:
    """Only plain values: an object of the code's own may print as anything."""
    if type(value) in (list, tuple, set, frozenset):
        for one in value:
            _check(one)
    elif type(value) is dict:
        for pair in value.items():
            _check(pair)
    elif type(value) not in (type(None), bool, int, float, str, bytes):
        raise TypeError(f"the result is or holds a {type(value).__name__}")


def _said(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"[:200]
    except BaseException:
        return "an error that cannot be printed"


def _limit(task: dict[str, Any]) -> None:
    for name, value in (
        (resource.RLIMIT_CPU, task["cpu"]),
        (resource.RLIMIT_AS, task["memory"]),
        (resource.RLIMIT_FSIZE, 1_000_000),
        (resource.RLIMIT_NOFILE, 16),
        (resource.RLIMIT_CORE, 0),
        (getattr(resource, "RLIMIT_NPROC", None), 0),
    ):
        if name is not None:
            try:  # noqa: SIM105  (contextlib would be one more import)
                resource.setrlimit(name, (value, value + (name == resource.RLIMIT_CPU)))
            except (ValueError, OSError):
                pass  # macOS has no limit of memory, for one


def _no_network(_: str) -> bool:
    new_user, new_network = 0x10000000, 0x40000000
    try:
        return bool(ctypes.CDLL(None).unshare(new_user | new_network) == 0)
    except (AttributeError, OSError):
        return False


def _no_files(directory: str) -> bool:
    """Landlock: https://docs.kernel.org/userspace-api/landlock.html."""
    create, add, restrict = 444, 445, 446
    try:
        libc = ctypes.CDLL(None)
        version = libc.syscall(create, None, 0, 1)
        if version < 1:
            return False
        files = (1 << {1: 13, 2: 14}.get(version, 15)) - 1
        tcp = 3 if version >= 4 else 0
        rules = struct.pack("QQ", files, tcp)[: 16 if version >= 4 else 8]
        rule_set = libc.syscall(create, rules, len(rules), 0)
        inside = posix.open(directory, posix.O_RDONLY)
        allowed = struct.pack("=Qi", files, inside)
        no_new_rights = libc.prctl(38, 1, 0, 0, 0) == 0
        done = no_new_rights and libc.syscall(add, rule_set, 1, allowed, 0) == 0
        done = done and libc.syscall(restrict, rule_set, 0) == 0
        posix.close(inside)
        posix.close(rule_set)
        return bool(done)
    except (AttributeError, OSError):
        return False


def _hook(directory: str) -> Callable[[str, tuple[Any, ...]], None]:
    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in HARMLESS or (event in FILES and within(arguments[0])):
            return
        raise PermissionError(f"{event} is not allowed here")

    def within(path: object) -> bool:
        if type(path) is bytes:
            path = path.decode(errors="replace")
        if type(path) is not str:
            return False
        full = path if path.startswith("/") else f"{directory}/{path}"
        parts = full[len(directory) :].split("/")
        return full.startswith(directory + "/") and ".." not in parts

    return hook


if __name__ == "__main__":
    main()
