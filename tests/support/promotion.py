"""Scores of two contenders whose true difference is known."""

import math
from typing import Any

import numpy as np
from numpy.random import Generator
from scipy import stats

from t0dspy.flywheel.promotion.options import PromotionOptions

OPTIONS = PromotionOptions()


def binary(rng: Generator, count: int, better: float) -> tuple[Any, Any]:
    return rng.random(count) < 0.6, rng.random(count) < 0.6 + better


def users(rng: Generator, count: int) -> list[str]:
    """Users of 5 to 15 examples each."""
    sizes = rng.integers(5, 16, count // 5 + 1)
    return [f"user {number}" for number, size in enumerate(sizes) for _ in range(size)][:count]


def clustered(seed: int, count: int) -> tuple[list[str], Any]:
    """Users, half of the variance shared within each, and equal contenders: right or wrong, 20% differ."""
    rng = np.random.default_rng([seed, count])
    groups = users(rng, count)
    shared = dict(zip(sorted(set(groups)), rng.normal(size=len(set(groups))), strict=True))
    latent = math.sqrt(0.5) * np.array([shared[user] for user in groups]) + math.sqrt(0.5) * rng.normal(size=count)
    edge = stats.norm.ppf(0.9)
    return groups, np.where(latent < -edge, -1.0, np.where(latent > edge, 1.0, 0.0))
