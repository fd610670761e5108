"""Runs code that a model wrote, in a process of its own that can do little else than compute.

One process is started for each `run`, whatever the number of calls. `inside.py` says what it is kept from.
"""

import ast
import contextlib
import marshal
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

MOST_OUTPUT = 2_000_000
"""Bytes that are read of a process's answers; one that says more is ended."""


@dataclass(frozen=True)
class Limits:
    """What the process may use."""

    cpu: int = 2
    """Seconds of processor."""
    wall: float = 10.0
    """Seconds on the wall."""
    memory: int = 512 * 1024 * 1024
    """Bytes of address space."""


@dataclass(frozen=True)
class Outcome:
    """What came out of each call, in their order."""

    results: Sequence[str | None]
    """The result as a Python literal; None where there is none."""
    problems: Sequence[str]
    """Why there is none, or an empty string."""


def run(code: str, calls: Sequence[str], limits: Limits | None = None) -> Outcome:
    """Define `code` and evaluate each of `calls`, such as `total([1, 2])`.

    Nothing is raised for what the code does: it is only told.
    """
    limits = limits or Limits()
    with tempfile.TemporaryDirectory(prefix="sandbox-") as directory:
        place = str(Path(directory).resolve())
        given = {"code": code, "calls": list(calls), "cpu": limits.cpu, "memory": limits.memory, "directory": place}
        try:
            task = marshal.dumps(given)
        except ValueError:  # a lone surrogate, say
            return Outcome([None] * len(calls), ["the code is no text"] * len(calls))
        output, why = _run(task, place, limits)
    return _read(output, why, len(calls))


def _run(task: bytes, directory: str, limits: Limits) -> tuple[bytes, str]:
    command = [sys.executable, "-I", "-S", "-B", str(Path(__file__).with_name("inside.py"))]
    process = subprocess.Popen(  # noqa: S603  (Python itself, on a file of ours)
        command,
        cwd=directory,
        env={"LC_ALL": "C.UTF-8"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        door, answers = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
        return _talk(door, answers, task, time.monotonic() + limits.wall)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _talk(door: IO[bytes], answers: IO[bytes], task: bytes, end: float) -> tuple[bytes, str]:
    with answers, selectors.DefaultSelector() as waiting:
        with contextlib.suppress(BrokenPipeError), door:
            door.write(task)
        waiting.register(answers, selectors.EVENT_READ)
        output = b""
        while len(output) < MOST_OUTPUT:
            if not waiting.select(max(0.0, end - time.monotonic())):
                return output, "took too long"
            more = os.read(answers.fileno(), 65536)
            if not more:
                return output, "the process ended before it came to this"
            output += more
    return output, "said too much"


def _read(output: bytes, why: str, count: int) -> Outcome:
    results: list[str | None] = [None] * count
    problems = [why] * count
    for line in output.decode(errors="replace").splitlines()[: count + 2]:
        match _literal(line):
            case ("locked", list() as kernel):
                _warn([str(reason) for reason in kernel])
            case ("broken", str() as problem):
                problems = [problem] * count
            case ("result", int() as index, str() as text) if 0 <= index < count:
                results[index], problems[index] = text, ""
            case ("raised", int() as index, str() as problem) if 0 <= index < count:
                problems[index] = problem if problems[index] == why else problems[index]
    return Outcome(results, problems)


def _literal(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def same(result: str | None, expected: str) -> bool:
    """Whether a literal means what another means, types included: `1` is not `True`, nor `[1]` `(1,)`."""
    if result is None:
        return False
    return result == expected or _equal(_parsed(result), _parsed(expected))


_NO_LITERAL = object()


def _parsed(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return _NO_LITERAL


def _equal(first: object, second: object) -> bool:
    if first is _NO_LITERAL or type(first) is not type(second):
        return False
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(map(_equal, first, second))
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(_equal(first[key], second[key]) for key in first)
    return first == second


_warned = threading.Event()


def _warn(kernel: Sequence[str]) -> None:
    missing = [name for name in ("network", "files") if name not in kernel]
    if missing and not _warned.is_set():
        _warned.set()
        print(
            f"warning: this kernel does not take {' and '.join(missing)} away from the code under test; "
            "only Python's own hooks keep it from them. Do not grade code of strangers here.",
            file=sys.stderr,
        )
