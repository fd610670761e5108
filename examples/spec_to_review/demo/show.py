"""What a demo shows while it runs (on stderr) and at its end (on stdout)."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """A line of the table at the end."""

    what: str
    specs: int
    score: float | None
    """The mean grade, 0 to 1; None where nothing was graded."""
    passed: int | None
    """Specifications whose code passes all hidden tests, and was approved of."""
    calls: int
    """Of the language model."""
    seconds: float


class Step:
    """One step, while it runs."""

    def __init__(self, show: "Show", title: str) -> None:
        """`title` is what is being done."""
        self._show, self._title, self._told = show, title, 0.0
        self._task = show.progress.add_task(title, total=None)

    def at(self, done: int, total: int) -> None:
        """How far it is."""
        self._show.progress.update(self._task, completed=done, total=total)
        if not self._show.console.is_terminal and time.monotonic() - self._told > 5:
            self._told = time.monotonic()
            self._show.console.print(f"   {self._title}: {done} of about {total}", highlight=False)

    def end(self) -> None:
        """Take it off the screen."""
        self._show.progress.remove_task(self._task)


class Show:
    """The screen."""

    def __init__(self, console: Console | None = None) -> None:
        """Progress goes to stderr."""
        self.console = console or Console(stderr=True)
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self.progress = Progress(
            *columns, TimeElapsedColumn(), console=self.console, transient=True, disable=not self.console.is_terminal
        )
        self.start = time.monotonic()

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.progress.stop()

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """A step: told when it begins, and with its time when it is done."""
        start, step = time.monotonic(), Step(self, title)
        if not self.console.is_terminal:
            self.say(f"   {title} ...")
        try:
            yield step
        finally:
            step.end()
        self.say(f" ✓ {title} [dim]({time.monotonic() - start:.0f} s)[/dim]")

    def say(self, text: str) -> None:
        """A line that stays."""
        self.console.print(text, highlight=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """A line about the step above it, as it is."""
        self.console.print(f"   {text}", markup=False, highlight=False, soft_wrap=True, style="dim")


def table(figures: Sequence[Figure], seconds: float) -> Table:
    """The table at the end."""
    shown = Table(title=f"once around the loop, in {seconds:.0f} s")
    shown.add_column("", no_wrap=True)
    for column in ("specs", "score", "passed", "LM calls", "time"):
        shown.add_column(column, justify="right")
    for one in figures:
        score = "" if one.score is None else f"{one.score:.3f}"
        passed = "" if one.passed is None else str(one.passed)
        shown.add_row(one.what, str(one.specs or ""), score, passed, f"{one.calls:,}", f"{one.seconds:.1f} s")
    return shown


def write_report(path: Path, figures: Sequence[Figure], facts: dict[str, object]) -> None:
    """The same figures and more, as JSON."""
    report = {**facts, "figures": [asdict(one) for one in figures]}
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
