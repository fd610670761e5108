"""Intervals cover the true value as often as stated."""

import math

import numpy as np
import pytest
from scipy import stats

from support.promotion import OPTIONS, binary, clustered
from t0dspy.flywheel.promotion.compare import compare, mean_of
from t0dspy.flywheel.promotion.options import PromotionOptions


def test_the_intervals_cover() -> None:
    """A 95% interval holds the true difference, or mean, in 95 of 100 cases or more; of users too."""
    held = [0, 0, 0]
    for seed in range(50):
        incumbent, challenger = binary(np.random.default_rng(seed), 100, 0.1)
        groups, differences = clustered(seed, 100)
        for number, (interval, truth) in enumerate(
            (
                (compare(incumbent, challenger).interval, 0.1),
                (mean_of(incumbent).interval, 0.6),
                (compare([0.0] * 100, differences, OPTIONS, groups).interval, 0.0),
            )
        ):
            low, high = interval or (math.nan, math.nan)
            held[number] += low <= truth <= high
    assert min(held) >= stats.binom.ppf(0.001, 50, 0.95)


def test_the_interval_of_a_mean_of_right_or_wrong_scores_is_exact() -> None:
    """That of Clopper and Pearson; all right does not mean certain."""
    for right in (0, 1, 13, 40):
        low, high = mean_of([1.0] * right + [0.0] * (40 - right)).interval or (math.nan, math.nan)
        assert low == pytest.approx(stats.beta.ppf(0.025, right, 41 - right) if right else 0.0, abs=1e-6)
        assert high == pytest.approx(stats.beta.ppf(0.975, right + 1, 40 - right) if right < 40 else 1.0, abs=1e-6)
    assert mean_of([]).interval is None
    low, high = mean_of([-3.0, 5.0]).interval or (math.nan, math.nan)
    assert (low, high) == (pytest.approx(-3, abs=0.2), pytest.approx(5, abs=0.2))


def test_the_interval_agrees_with_the_confidence() -> None:
    """Its lower end is where the confidence is 97.5%: above 0 exactly when the challenger is that surely better."""
    rng = np.random.default_rng(4)
    for _ in range(20):
        scores = rng.normal(0.1, 0.3, 40)
        low, _high = compare([0.0] * 40, scores).interval or (math.nan, math.nan)
        assert (low > 0) == (compare([0.0] * 40, scores).confidence > 0.975)
        at_low = compare([0.0] * 40, scores, PromotionOptions(min_improvement=low - 1e-9)).confidence
        assert at_low == pytest.approx(0.975, abs=1e-4)
    assert compare([0.5] * 9, [0.5] * 9).interval is None
