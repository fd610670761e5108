"""From an exception to an exit code and the one message a user reads."""

import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from typing import Any

import click

from t0dspy.errors import T0dspyError

BUG, INTERRUPTED = 3, 130


def exit_code_of(command: Callable[[], Any]) -> int:
    """Run `command`; say on stderr what went wrong, if anything did, and return the exit code for it."""
    try:
        result = command()
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except (click.exceptions.Abort, KeyboardInterrupt):
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED
    except click.ClickException as wrong_usage:
        wrong_usage.show()
        return wrong_usage.exit_code
    except T0dspyError as error:
        print(f"t0dspy: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception:
        return _bug()
    return result if isinstance(result, int) else 0


def _bug() -> int:
    with tempfile.NamedTemporaryFile("w", prefix="t0dspy-", suffix=".log", delete=False, encoding="utf-8") as log:
        traceback.print_exc(file=log)
    last = traceback.format_exc().strip().splitlines()[-1]
    print(f"t0dspy: this is a bug: {last}\nPlease report it and attach {log.name}", file=sys.stderr)
    return BUG
