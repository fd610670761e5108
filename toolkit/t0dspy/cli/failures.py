"""From an exception to an exit code and the one message a user reads."""

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
"""Click's ClickException, whether typer uses click or carries its own copy of it."""


class Stopped(Exception):  # noqa: N818
    """Carries an interrupt or a broken pipe (its cause) past typer, which has answers of its own to both."""


def exit_code_of(command: Callable[[], Any]) -> int:
    """Run `command`; say on stderr what went wrong, if anything did, and return the exit code for it."""
    try:
        result = command()
        sys.stdout.flush()  # a reader that went away is noticed here, not when Python ends
    except typer.Exit as stop:
        return stop.exit_code
    except (typer.Abort, KeyboardInterrupt, BrokenPipeError, Stopped) as stop:
        return _stopped(stop.__cause__ if isinstance(stop, Stopped) else stop)
    except _WrongUsage as wrong_usage:
        wrong_usage.show()
        return int(wrong_usage.exit_code)
    except T0dspyError as error:
        print(f"t0dspy: {error}", file=sys.stderr)
        return error.exit_code
    except Exception:
        return _bug()
    return result if isinstance(result, int) else 0


def _stopped(why: BaseException | None) -> int:
    if isinstance(why, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would complain when it ends
        return 0
    print("Interrupted.", file=sys.stderr)
    return INTERRUPTED


def _bug() -> int:
    last = traceback.format_exc().strip().splitlines()[-1]
    print(f"t0dspy: this is a bug: {last}\nPlease report it{_logged()}", file=sys.stderr)
    return BUG


def _logged() -> str:
    try:
        with tempfile.NamedTemporaryFile("w", prefix="t0dspy-", suffix=".log", delete=False, encoding="utf-8") as log:
            traceback.print_exc(file=log)
    except OSError as error:
        return f" (no log could be written: {error.strerror})."
    return f" and attach {log.name}"
