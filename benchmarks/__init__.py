"""Speed as ratios: each figure is measured against something else in the same run, so that any machine can judge it."""

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple


class Row(NamedTuple):
    """One line of the table."""

    what: str
    figure: str
    target: str
    met: bool


def median_seconds(action: Callable[[], object], runs: int = 5) -> float:
    """The median of several runs, in seconds."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def ratio(what: str, seconds: float, against: float, most: float) -> Row:
    """A row that says how many times `against` something took."""
    figure = f"{seconds / against:.2f}x ({seconds * 1000:,.1f} ms against {against * 1000:,.1f} ms)"
    return Row(what, figure, f"at most {most:g}x", seconds <= most * against)
