"""Map exceptions to exit codes and messages."""

import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from typing import Any

import typer

from t0dspy.errors import T0dspyError

BUG, INTERRUPTED = 3, 130

# Workaround (typer 0.29): typer may contain its own copy of click, whose ClickException has no public name; remove when
# typer exports it.
_WrongUsage: Any = typer.BadParameter.__mro__[2]
"""Click's ClickException. Typer uses either click or its own copy of click, so the class has no fixed import path."""


class Stopped(Exception):  # noqa: N818
    """Carries an interrupt or a broken pipe (its cause) through typer, which would otherwise handle both itself."""


def run_command(command: Callable[[], Any]) -> int:
    """Run `command`, print a message to stderr if it fails, and return the exit code."""
    try:
        result = command()
        sys.stdout.flush()  # raises BrokenPipeError here and not at interpreter exit if the reader is gone
    except typer.Exit as stop:
        return stop.exit_code
    except (typer.Abort, KeyboardInterrupt, BrokenPipeError, Stopped) as stop:
        return _report_stop(stop.__cause__ if isinstance(stop, Stopped) else stop)
    except _WrongUsage as wrong_usage:
        wrong_usage.show()
        return int(wrong_usage.exit_code)
    except T0dspyError as error:
        print(f"t0dspy: {error}", file=sys.stderr)
        return error.exit_code
    except Exception:
        return _report_bug()
    return result if isinstance(result, int) else 0


def _report_stop(cause: BaseException | None) -> int:
    if isinstance(cause, BrokenPipeError):
        # Python flushes stdout at exit and would print another BrokenPipeError.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    print("Interrupted.", file=sys.stderr)
    return INTERRUPTED


def _report_bug() -> int:
    last = traceback.format_exc().strip().splitlines()[-1]
    print(f"t0dspy: this is a bug: {last}\nPlease report it{_write_log()}", file=sys.stderr)
    return BUG


def _write_log() -> str:
    """Write the traceback to a temporary file and return the end of the message, which names that file."""
    try:
        with tempfile.NamedTemporaryFile("w", prefix="t0dspy-", suffix=".log", delete=False, encoding="utf-8") as log:
            traceback.print_exc(file=log)
    except OSError as error:
        return f" (no log could be written: {error.strerror})."
    return f" and attach {log.name}"
