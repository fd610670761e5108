"""The processes of a demo: each in a group of its own, none of which outlives the demo."""

import atexit
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

Line = Callable[[str], None]
"""Is told a line of what a process says."""

_STARTED: list["Process"] = []


class DemoError(Exception):
    """A step of the demo did not do what it should; the message says which, and where to read on."""


class Process:
    """A command, its stderr in a file, its stdout line by line."""

    def __init__(self, name: str, command: Sequence[str], log: Path, place: Path, known: Mapping[str, str]) -> None:
        """Starts it in the directory `place`, with the environment and `known`."""
        self.name, self.command, self.log = name, command, log
        with log.open("a", encoding="utf-8") as errors:
            self.process = subprocess.Popen(  # noqa: S603  (our own commands, no shell)
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=place,
                env={**os.environ, **known},
                start_new_session=True,
            )
        _STARTED.append(self)

    def line(self) -> str:
        """The next line of its stdout.

        Raises:
            DemoError: it ended.
        """
        assert self.process.stdout is not None  # noqa: S101  (a pipe was asked for)
        found = self.process.stdout.readline()
        if not found:
            raise DemoError(f"{self.name} ended with exit code {self.process.wait()}.\n{self.last_output()}")
        return found.rstrip("\n")

    def last_output(self) -> str:
        """The end of its log."""
        lines = re.split(r"[\r\n]+", self.log.read_text(encoding="utf-8", errors="replace").strip())
        return "\n".join(lines[-15:]) + f"\n(all of it: {self.log})"

    def stop(self, patience: float = 60) -> None:
        """Ask it to end; then end it and all that it started. A second time does nothing."""
        if self not in _STARTED:
            return
        try:
            if self.process.poll() is None:
                self.process.terminate()
                self.process.wait(patience)
        except subprocess.TimeoutExpired:
            pass
        finally:  # an impatient Ctrl-C comes here too
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            _STARTED.remove(self)
            if self.process.stdout:
                self.process.stdout.close()


def run(
    name: str,
    command: Sequence[str],
    log: Path,
    place: Path,
    known: Mapping[str, str],
    *,
    accept: Sequence[int] = (0,),
    heard: Line | None = None,
) -> str:
    """Run a command to its end and return its stdout; `heard` is told each line of its log meanwhile.

    Raises:
        DemoError: it ended with an exit code that is not in `accept`.
    """
    before = log.stat().st_size if log.exists() else 0
    process = Process(name, command, log, place, known)
    watching = threading.Event()
    watcher = threading.Thread(target=_follow, args=(log, before, heard, watching), daemon=True) if heard else None
    if watcher:
        watcher.start()
    try:
        assert process.process.stdout is not None  # noqa: S101
        said = process.process.stdout.read()
        code = process.process.wait()
    finally:
        watching.set()
        process.stop(patience=0.1)
    if code not in accept:
        raise DemoError(f"{name} ended with exit code {code}.\n{said}{process.last_output()}")
    return said


def _follow(log: Path, start: int, heard: Line | None, ended: threading.Event) -> None:
    with log.open(encoding="utf-8", errors="replace") as lines:
        lines.seek(start)
        rest = ""
        while not ended.is_set():
            more = lines.read()
            if not more:
                time.sleep(0.1)
                continue
            *whole, rest = re.split(r"[\r\n]+", rest + more)
            for one in whole:
                if heard:
                    heard(one)


def stop_all() -> None:
    """End everything that was started, the last one first."""
    while _STARTED:
        _STARTED[-1].stop()


def watch_signals() -> None:
    """Let Ctrl-C, SIGTERM and SIGHUP end the demo, in a shell's background too, where Python would not hear Ctrl-C."""
    atexit.register(stop_all)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)


def _interrupt(number: int, _: object) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)


def t0dspy(*arguments: str) -> list[str]:
    """The command line of `t0dspy`, as it is installed beside this Python."""
    return [str(Path(sys.executable).parent / "t0dspy"), *arguments]
