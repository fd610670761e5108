"""Print results to stdout, and progress and notes to stderr."""

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
    from t0dspy.parity.run_report import RunReport


def escape_unencodable() -> None:
    """Make stdout and stderr escape characters that the terminal's encoding lacks, because prompts may hold any."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_json(value: Any) -> None:
    """Print `value` as JSON to stdout, escaped if stdout's encoding cannot represent it."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2)
    print(text)


def note(text: str) -> None:
    """Print a note to stderr."""
    print(f"note: {text}", file=sys.stderr)


def count(number: int, noun: str) -> str:
    """Return `number` with its noun, such as `1 example` or `2,000 examples`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def print_parity(report: "ParityReport", *, verbose: bool = False) -> None:
    """Print what was compared, how stock DSPy's messages differ, and what plain clients do not get.

    With `verbose`, also counts per predictor.
    """
    answers = sum(predictor.answers for predictor in report.predictors)
    print(f"  prompts     equal: {count(report.requests, 'request')} and {count(answers, 'answer')} compared")
    for predictor in report.predictors:
        for reason, skipped in predictor.skipped.items():
            print(f"  skipped     {shown(predictor.path)}: {count(skipped, 'input')}: {reason}")
    print(f"  stock DSPy  {_compare_to_stock(report)}")
    if any(predictor.plain_requests for predictor in report.predictors):
        print(f"  clients     {_plain_clients(report)}")
    for line in _counts(report) if verbose else ():
        print(f"              {line}")


def print_runs(report: "RunReport") -> None:
    """Print how many runs of the whole program were compared, or why none was."""
    if report.skipped:
        print(f"  runs        not compared: {report.skipped}")
        return
    print(f"  runs        equal: {count(report.runs, 'run')} in DSPy and served, {count(report.requests, 'request')}")
    for reason, number in report.not_provable.items():
        print(f"              not provable: {reason} ({number})")


def _compare_to_stock(report: "ParityReport") -> str:
    """Return one line on how stock DSPy's messages differ from those of this prompt form."""
    if any(predictor.unlike_stock for predictor in report.predictors):
        return "sends the demos as chat turns; this prompt form has them in the system message"
    return "writes the same messages"


def _plain_clients(report: "ParityReport") -> str:
    """Return one line on what clients without our runtime do not get."""
    reasons = dict.fromkeys(reason for predictor in report.predictors for reason in predictor.unlike_plain)
    if not reasons:
        return "without t0dspy get the same requests"
    return f"without t0dspy get the same prompt, but not {'; nor '.join(reasons)}"


def _counts(report: "ParityReport") -> list[str]:
    return [
        f"{shown(predictor.path)}: not {reason} ({unlike:,} of {count(predictor.plain_requests, 'input')})"
        for predictor in report.predictors
        for reason, unlike in predictor.unlike_plain.items()
    ]


class Progress:
    """A line on stderr with the current step, shown only if stderr is a terminal."""

    def __init__(self, status: "Status | None") -> None:
        self._status = status

    def show(self, text: str) -> None:
        """Replace the line."""
        if self._status is not None:
            self._status.update(text)

    def show_count(self, predictor: str, done: int) -> None:
        """Replace the line with the number of inputs compared for `predictor`, at every twentieth input."""
        if done % 20 == 0:
            self.show(f"{predictor}: {done:,} inputs compared")


@contextmanager
def progress(quiet: bool) -> Iterator[Progress]:
    """Yield a `Progress`, which prints nothing if `quiet` or if stderr is not a terminal."""
    if quiet or not sys.stderr.isatty():
        yield Progress(None)
        return
    from rich.console import Console

    with Console(file=sys.stderr).status("starting") as status:  # optimizers redirect sys.stderr later
        yield Progress(status)
