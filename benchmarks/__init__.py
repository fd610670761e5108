"""Speed as ratios: each figure is measured against something else in the same run, so that any machine can judge it."""

import os
import statistics
from collections.abc import Callable
from typing import NamedTuple


class Row(NamedTuple):
    """One line of the table."""

    what: str
    figure: str
    target: str
    met: bool


def processor() -> float:
    """Seconds of the processor, of this process and its children: what other work on the machine does not change."""
    return sum(os.times()[:4])


def median_seconds(action: Callable[[], object], runs: int = 5, clock: Callable[[], float] = processor) -> float:
    """The median of several runs, in seconds."""
    times = []
    for _ in range(runs):
        start = clock()
        action()
        times.append(clock() - start)
    return statistics.median(times)


def ratio(name: str, seconds: float, against: float, most: float) -> Row:
    """Return a row that shows how many times as long as `against` something took."""
    figure = f"{seconds / against:.2f}x ({seconds * 1000:,.1f} ms against {against * 1000:,.1f} ms)"
    return Row(name, figure, f"at most {most:g}x", seconds <= most * against)
