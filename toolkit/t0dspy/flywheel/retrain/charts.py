"""Two drawings for the report, as coordinates for SVG: the template draws, nothing here is markup."""

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
    """Score by trial, and the best so far as a line."""

    dots: Sequence[Dot]
    line: str
    """Points of the polyline of the best so far."""
    incumbent: float
    """The height of the incumbent's score."""
    ticks: Sequence[tuple[float, str]]
    """Heights and what they stand for."""


@dataclass(frozen=True)
class Bars:
    """How often the challenger differed from the incumbent by how much."""

    bars: Sequence[tuple[float, float, str, str]]
    """x, height, kind (`worse`, `same`, `better`), label."""
    most: int


def trial_chart(trials: Sequence[Mapping[str, Any]]) -> TrialChart:
    """Where each trial stands."""
    scores = [trial["score"] for trial in trials]
    low, high = min(*scores, 0.0) if len(scores) > 1 else min(scores[0], 0.0), max(*scores, 0.0, scores[0])
    span = (high - low) or 1.0

    def height(score: float) -> float:
        return float(round(HEIGHT - MARGIN - (score - low) / span * (HEIGHT - 2 * MARGIN), 1))

    step = (WIDTH - 2 * MARGIN) / max(1, len(trials) - 1)
    best, dots, line = float("-inf"), [], []
    for at, trial in enumerate(trials):
        x, better = round(MARGIN + at * step, 1), trial["full"] and trial["score"] > best
        best = trial["score"] if better else best
        label = f"{_name(at)}: {trial['score']:.3f} over {trial['runs']} runs, {trial['calls']:,} calls so far"
        dots.append(Dot(x, height(trial["score"]), label, trial["full"], better))
        line.append(f"{x},{height(best)}")
    ticks = [(height(low + span * part), f"{low + span * part:.2f}") for part in (0.0, 0.5, 1.0)]
    return TrialChart(dots, " ".join(line), height(scores[0]), ticks)


def difference_bars(pairs: Sequence[Sequence[float]], bins: int = 21) -> Bars | None:
    """A histogram of challenger minus incumbent; None without pairs."""
    if not pairs:
        return None
    differences = [round(after - before, 9) for before, after in pairs]
    widest = max(map(abs, differences)) or 1.0
    middle = bins // 2
    counts = [0] * bins
    for one in differences:
        counts[round(one / widest * middle) + middle] += 1
    most = max(counts)
    step = (WIDTH - 2 * MARGIN) / bins
    bars = []
    for at, count in enumerate(counts):
        kind = "same" if at == middle else "better" if at > middle else "worse"
        label = f"{(at - middle) / middle * widest:+.2f}: {count} examples"
        bars.append((round(MARGIN + at * step, 1), round(count / most * (HEIGHT - 2 * MARGIN), 1), kind, label))
    return Bars(bars, most)


def _name(at: int) -> str:
    return "incumbent" if at == 0 else f"trial {at}"
