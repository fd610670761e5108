"""The probability that a challenger is better, by its definition."""

import math

import numpy as np
import pytest
from scipy import stats

from t0dspy.flywheel.promotion.dirichlet import group_sums, probability_positive


def test_the_probability_is_that_of_its_definition() -> None:
    """Against the closed form for distinct values, and drawing the weights for many."""
    few = np.array([0.9, -0.3, 0.4, 0.1, -0.75])
    exact = sum(np.prod([a / (a - b) for b in few if a != b]) for a in few if a > 0)
    assert probability_positive(few) == pytest.approx(float(exact), abs=1e-12)
    assert probability_positive(few * 1e-300) == pytest.approx(float(exact), abs=1e-12)
    rng = np.random.default_rng(2)
    for count in (1, 3, 30, 300):
        values = np.append(rng.normal(0.05, 0.3, count), -0.8)
        drawn = (rng.exponential(size=(20_000, count + 1)) @ values > 0).mean()
        assert probability_positive(values) == pytest.approx(drawn, abs=0.015)


def test_many_groups_need_little_memory() -> None:
    """100,000 groups, all of them different, in chunks: far less than groups times points of the integral."""
    import tracemalloc

    values = np.random.default_rng(3).normal(0.002, 0.3, 100_000)
    tracemalloc.start()
    found = group_sums(values, None, None).confidence_above(0.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == pytest.approx(stats.norm.cdf(values.mean() / values.std() * math.sqrt(100_000)), abs=0.01)
    assert peak < 60e6
