"""How sure a mean is, and a difference: the statistics of the judge, for whoever evaluates."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from t0dspy.flywheel.judge import JudgeOptions, compare
from t0dspy.flywheel.resampling import interval


@dataclass(frozen=True)
class Interval:
    """A mean and where it lies with 95% confidence."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Paired:
    """One version's scores against another's, example by example."""

    interval: Interval
    confidence: float
    """That the true difference is above 0, 0 to 1."""
    better: int
    """On how many examples the first scored more."""
    worse: int


def mean_interval(values: Sequence[float]) -> Interval:
    """The mean of `values`, at least one, with its bootstrap interval over examples."""
    options = JudgeOptions()
    numbers = np.array(values, dtype=float)
    mean = float(numbers.mean())
    low, high = interval(numbers, options.level, options.resamples, options.seed) or (mean, mean)
    return Interval(mean, low, high)


def paired(after: Sequence[float], before: Sequence[float]) -> Paired:
    """`after` against `before`, on the same examples in the same order."""
    found = compare(before, after)
    low, high = found.interval or (found.difference, found.difference)
    return Paired(Interval(found.difference, low, high), found.confidence, found.better, found.worse)
