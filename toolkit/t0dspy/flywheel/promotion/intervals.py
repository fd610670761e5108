"""Means and paired differences with their intervals, in the form that `evaluate` shows."""

from collections.abc import Sequence
from dataclasses import dataclass

from t0dspy.flywheel.promotion.compare import compare, mean_of


@dataclass(frozen=True)
class Interval:
    """A mean and its 95% interval."""

    mean: float
    low: float | None
    """None, like `high`, if no example differs, because then nothing shows how large a difference can be."""
    high: float | None


@dataclass(frozen=True)
class Paired:
    """One version's scores compared with another's, example by example."""

    interval: Interval
    confidence: float
    """The confidence, 0 to 1, that the true difference is above 0."""
    better: int
    """How many examples the first version scored higher on."""
    worse: int
    groups: int
    """How many groups (users, episodes) the examples form."""


def mean_interval(values: Sequence[float], groups: Sequence[str] = ()) -> Interval:
    """Return the mean of `values`, at least one, with its interval.

    Args:
        values: one value per example.
        groups: the name of each example's group; empty if each example is a group of its own.
    """
    mean = mean_of(values, groups=groups)
    return Interval(mean.mean, *(mean.interval or (None, None)))


def paired_difference(after: Sequence[float], before: Sequence[float], groups: Sequence[str] = ()) -> Paired:
    """Compare `after` with `before`, on the same examples in the same order.

    Args:
        after: one score per example.
        before: the same for the other version.
        groups: as for `mean_interval`.
    """
    difference = compare(before, after, groups=groups)
    interval = Interval(difference.difference, *(difference.interval or (None, None)))
    return Paired(interval, difference.confidence, difference.better, difference.worse, difference.groups)
