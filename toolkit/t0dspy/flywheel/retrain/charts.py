"""Compute the coordinates of the report's two charts; the template draws them as SVG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT, MARGIN = 640.0, 200.0, 34.0


@dataclass(frozen=True)
class Dot:
    """One trial."""

    x: float
    y: float
    label: str
    full: bool
    best: bool


@dataclass(frozen=True)
class TrialChart:
    """The score of each trial, and the best score so far as a line."""

    dots: Sequence[Dot]
    line: str
    """The points of the line."""
    incumbent: float
    """The height of the incumbent's score."""
    ticks: Sequence[tuple[float, str]]
    """Heights and their labels."""


@dataclass(frozen=True)
class Bars:
    """A histogram of the challenger's score minus the incumbent's."""

    bars: Sequence[tuple[float, float, str, str]]
    """x, height, kind (`worse`, `same`, `better`), label."""
    most: int


def trial_chart(trials: Sequence[Mapping[str, Any]]) -> TrialChart:
    """Return the position of each trial."""
    scores = [trial["score"] for trial in trials]
    low, high = min(*scores, 0.0) if len(scores) > 1 else min(scores[0], 0.0), max(*scores, 0.0, scores[0])
    span = (high - low) or 1.0

    def height(score: float) -> float:
        return float(round(HEIGHT - MARGIN - (score - low) / span * (HEIGHT - 2 * MARGIN), 1))

    step = (WIDTH - 2 * MARGIN) / max(1, len(trials) - 1)
    best, dots, line = float("-inf"), [], []
    for index, trial in enumerate(trials):
        x, better = round(MARGIN + index * step, 1), trial["full"] and trial["score"] > best
        best = trial["score"] if better else best
        label = f"{_name(index)}: {trial['score']:.3f} over {trial['runs']} runs, {trial['calls']:,} calls so far"
        dots.append(Dot(x, height(trial["score"]), label, trial["full"], better))
        line.append(f"{x},{height(best)}")
    ticks = [(height(low + span * part), f"{low + span * part:.2f}") for part in (0.0, 0.5, 1.0)]
    return TrialChart(dots, " ".join(line), height(scores[0]), ticks)


def difference_bars(pairs: Sequence[Sequence[float]], bins: int = 21) -> Bars | None:
    """Return a histogram of challenger minus incumbent; None without pairs."""
    if not pairs:
        return None
    differences = [round(after - before, 9) for before, after in pairs]
    widest = max(map(abs, differences)) or 1.0
    middle = bins // 2
    counts = [0] * bins
    for difference in differences:
        counts[round(difference / widest * middle) + middle] += 1
    most = max(counts)
    step = (WIDTH - 2 * MARGIN) / bins
    bars = []
    for index, count in enumerate(counts):
        kind = "same" if index == middle else "better" if index > middle else "worse"
        label = f"{(index - middle) / middle * widest:+.2f}: {count} examples"
        bars.append((round(MARGIN + index * step, 1), round(count / most * (HEIGHT - 2 * MARGIN), 1), kind, label))
    return Bars(bars, most)


def _name(index: int) -> str:
    return "incumbent" if index == 0 else f"trial {index}"
