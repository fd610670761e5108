"""Means and paired differences with their intervals, as `evaluate` shows them."""

from collections.abc import Sequence
from dataclasses import dataclass

from t0dspy.flywheel.promotion.compare import compare, mean_of


@dataclass(frozen=True)
class Interval:
    """A mean and its 95% interval."""

    mean: float
    low: float | None
    """None, as `high`, where no example differs, because nothing shows how large a difference can be."""
    high: float | None


@dataclass(frozen=True)
class Paired:
    """One version's scores against another's, example by example."""

    interval: Interval
    confidence: float
    """That the true difference is above 0, 0 to 1."""
    better: int
    """On how many examples the first scored more."""
    worse: int
    groups: int
    """How many groups of examples (users, episodes) there are."""


def mean_interval(values: Sequence[float], groups: Sequence[str] = ()) -> Interval:
    """Return the mean of `values`, at least one, with its interval.

    Args:
        values: one of each example.
        groups: the name of each example's group; empty where each example is a group of its own.
    """
    found = mean_of(values, groups=groups)
    return Interval(found.mean, *(found.interval or (None, None)))


def paired(after: Sequence[float], before: Sequence[float], groups: Sequence[str] = ()) -> Paired:
    """Compare `after` with `before`, on the same examples in the same order.

    Args:
        after: one score of each example.
        before: the same of the other version.
        groups: as for `mean_interval`.
    """
    found = compare(before, after, groups=groups)
    interval = Interval(found.difference, *(found.interval or (None, None)))
    return Paired(interval, found.confidence, found.better, found.worse, found.groups)
