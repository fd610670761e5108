"""Compute the paired difference between two versions' scores, and one version's mean, each with its interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from t0dspy.errors import SettingsError
from t0dspy.flywheel.promotion.dirichlet import GroupSums, Numbers, group_sums, without_noise
from t0dspy.flywheel.promotion.groups import numbered
from t0dspy.flywheel.promotion.options import DEFAULTS, PromotionOptions


@dataclass(frozen=True)
class Mean:
    """The mean score of a version."""

    examples: int
    mean: float
    interval: tuple[float, float] | None
    """None if there are no examples."""


@dataclass(frozen=True)
class Difference:
    """The challenger's scores compared with the incumbent's, on the same examples."""

    examples: int
    incumbent: float
    """Mean score."""
    challenger: float
    difference: float
    """The challenger's mean minus the incumbent's."""
    interval: tuple[float, float] | None
    """The interval of the difference.

    None if no example differs, because then nothing shows how large a difference can be.
    """
    confidence: float
    """The confidence, 0 to 1, that the true difference is above `min_improvement`."""
    better: int
    """How many examples the challenger scored higher on."""
    worse: int
    groups: int
    """How many groups (users, episodes) the examples form; examples of one group may depend on each other."""


def compare(
    incumbent: Sequence[float],
    challenger: Sequence[float],
    options: PromotionOptions = DEFAULTS,
    groups: Sequence[str] = (),
) -> Difference:
    """Compare two versions' scores on the same examples.

    Args:
        incumbent: one score per example.
        challenger: the same, in the same order.
        options: the improvement that is required, and the worst case that is assumed.
        groups: the name of each example's group; empty if each example is a group of its own.

    Returns:
        The difference, its interval and the confidence, computed as `dirichlet` describes.

    Raises:
        SettingsError: a score is not a finite number, or with `strict` is outside `score_range`.
        ValueError: the numbers of scores or groups differ.
    """
    before, after = np.array(incumbent, dtype=float), np.array(challenger, dtype=float)
    if len(before) != len(after):
        raise ValueError(f"scored on different numbers of examples: {len(before)} and {len(after)}")
    if not len(before):
        return Difference(0, math.nan, math.nan, math.nan, None, 0.0, 0, 0, 0)
    check_scores([*incumbent, *challenger], options)
    differences = _differences(before, after)
    low, high = options.score_range
    sums = group_sums(differences, numbered(groups, len(before)), high - low if options.strict else None)
    return Difference(
        examples=len(before),
        incumbent=float(before.mean()),
        challenger=float(after.mean()),
        difference=sums.mean,
        interval=_interval(sums, _negated(sums), options.level) if sums.worst else None,
        confidence=sums.confidence_above(options.min_improvement),
        better=int((differences > 0).sum()),
        worse=int((differences < 0).sum()),
        groups=len(sums.sums),
    )


def mean_of(scores: Sequence[float], options: PromotionOptions = DEFAULTS, groups: Sequence[str] = ()) -> Mean:
    """Return the mean of a version's scores with an interval.

    The worst case is the end of `score_range`, or the extreme score if it is beyond that range.

    Args:
        scores: one score per example.
        options: the level of the interval, and the range of scores.
        groups: as for `compare`.
    """
    if not len(scores):
        return Mean(0, math.nan, None)
    numbers, by = np.array(scores, dtype=float), numbered(groups, len(scores))
    low, high = min(options.score_range[0], numbers.min()), max(options.score_range[1], numbers.max())
    level = (1 + options.level) / 2
    above_low = group_sums(numbers - low, by, 0.0).lower_limit(level)
    below_high = group_sums(high - numbers, by, 0.0).lower_limit(level)
    return Mean(len(numbers), float(numbers.mean()), (float(low + above_low), float(high - below_high)))


def check_scores(scores: Sequence[float], options: PromotionOptions, of: str = "the metric") -> None:
    """Check that scores can be compared.

    Raises:
        SettingsError: a score is not a finite number, or with `strict` is outside `score_range`.
    """
    low, high = options.score_range
    for number, score in enumerate(scores, 1):
        if not math.isfinite(score):
            raise SettingsError(f"{of}: returned {score!r} for example {number}; a score is a finite number.")
        if options.strict and not low <= score <= high:
            raise SettingsError(
                f"{of}: returned {score!r} for example {number}, outside of `score_range`, {low:g} to {high:g}; "
                "`strict` needs the range of the scores."
            )


def _differences(before: Numbers, after: Numbers) -> Numbers:
    with np.errstate(over="ignore"):
        differences = after - before
    if not np.isfinite(differences).all():
        raise SettingsError("the scores are too large to be subtracted from each other.")
    return without_noise(differences, before, after)


def _negated(sums: GroupSums) -> GroupSums:
    return GroupSums(-sums.sums, sums.sizes, sums.worst)


def _interval(sums: GroupSums, turned: GroupSums, level: float) -> tuple[float, float]:
    one_sided = (1 + level) / 2
    return sums.lower_limit(one_sided), -turned.lower_limit(one_sided)
