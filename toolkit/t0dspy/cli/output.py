"""What the verbs print: results on stdout, progress and notes on stderr."""

import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from t0dspy.errors import shown

if TYPE_CHECKING:
    from rich.status import Status

    from t0dspy.parity.report import ParityReport


def speak_any_unicode() -> None:
    """Let stdout and stderr escape what the terminal's encoding lacks: prompts hold any character there is."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_json(value: Any) -> None:
    """One JSON value on stdout."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2)
    print(text)


def note(text: str) -> None:
    """A line that a user should read, beside the result."""
    print(f"note: {text}", file=sys.stderr)


def print_parity(report: "ParityReport", *, verbose: bool = False) -> None:
    """What was compared, and how the prompts relate to stock DSPy's; with `verbose` the counts of each predictor."""
    answers = sum(one.answers for one in report.predictors)
    print(f"  prompts     equal: {report.requests:,} inputs and {answers:,} answers compared")
    for one in report.predictors:
        for reason, count in one.skipped.items():
            print(f"  skipped     {shown(one.path)}: {count:,} inputs: {reason}")
    print(f"  stock DSPy  {_beside_stock(report)}")
    for line in _counts(report) if verbose else ():
        print(f"              {line}")


def _beside_stock(report: "ParityReport") -> str:
    """How stock DSPy would write the messages of this prompt form, on a line.

    Generated inputs imitate DSPy's marker for images and files on purpose; no real text does, so that is no difference
    to mention here. `--verbose` and `--json` have it.
    """
    from t0dspy.parity.report import DEMO_TURNS, KEY_ORDER

    reasons = {reason for one in report.predictors for reason in one.unlike_stock}
    differences = []
    if DEMO_TURNS in reasons:
        differences.append("sends the demos as chat turns; this prompt form has them in the system message")
    if KEY_ORDER in reasons:
        differences.append("keeps the order of keys in free-form objects; the gateway sorts them")
    return "writes the same messages" if not differences else " and ".join(differences)


def _counts(report: "ParityReport") -> list[str]:
    return [
        f"{shown(one.path)}: {reason} ({count:,} of {one.requests:,} inputs)"
        for one in report.predictors
        for reason, count in one.unlike_stock.items()
    ]


class Progress:
    """A line on stderr that says what is being done, where stderr is a terminal."""

    def __init__(self, status: "Status | None") -> None:
        self._status = status

    def say(self, text: str) -> None:
        """Replace the line."""
        if self._status is not None:
            self._status.update(text)

    def count(self, what: str, done: int) -> None:
        """Replace the line with how far `what` is."""
        if done % 20 == 0:
            self.say(f"{what}: {done:,} inputs compared")


@contextmanager
def progress(quiet: bool) -> Iterator[Progress]:
    """A `Progress` for the length of some work; silent when `quiet` or when stderr is no terminal."""
    if quiet or not sys.stderr.isatty():
        yield Progress(None)
        return
    from rich.console import Console

    with Console(file=sys.stderr).status("starting") as status:  # the stream of now: optimizers redirect it
        yield Progress(status)
