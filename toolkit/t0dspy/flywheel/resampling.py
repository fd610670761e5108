"""What paired differences say of a mean: an interval around it, and the confidence that it is above a bound.

The confidence is the smaller one of two, as each alone breaks its word somewhere:

- The paired bootstrap, studentized (bootstrap-t: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993,
  section 12.5). It allows for skewed differences. With few differences other than 0 it promises too much: it promotes
  28% where 20% is stated (50 binary pairs of which 5% differ).
- The sign-flip test on the same differences (Fisher, "The Design of Experiments", 1935, section 21; here by scipy's
  `permutation_test`). It keeps its word exactly, for any number of examples and any ties, as long as neither direction
  of a difference is favoured under equal quality, which is so for right-or-wrong scores. It does not allow for skew.

What no method can know is a loss that is rare and large and not among the examples: where one in 20 examples loses a
lot and the others gain a little, 20 examples show no loss in 36% of all cases.
"""

import math
import warnings
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
_AT_ONCE = 1_000_000
"""Numbers held at once."""


def interval(values: Numbers, level: float, resamples: int, seed: int) -> tuple[float, float] | None:
    """The interval around the mean of `values`, by scipy's bootstrap; None with fewer than two values.

    BCa (Efron, "Better Bootstrap Confidence Intervals", 1987), and percentiles where BCa is undefined.
    """
    from scipy import stats

    if len(values) < 2:
        return None
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scipy warns where BCa is undefined, which is looked for below
            found = stats.bootstrap(
                (values,),
                np.mean,
                confidence_level=level,
                n_resamples=resamples,
                batch=max(1, _AT_ONCE // len(values)),
                method=method,
                rng=np.random.default_rng(seed),
            ).confidence_interval
        if math.isfinite(found.low) and math.isfinite(found.high):
            break
    return float(found.low), float(found.high)


def confidence_above(differences: Numbers, bound: float, resamples: int, seed: int) -> float:
    """The confidence, 0 to 1, that the true mean of the differences is above `bound`."""
    above = np.round(differences - bound, 12)  # without the noise of floating point, which would break ties
    if above.sum() <= 0:
        return 0.0
    flips = 1 - _sign_flips(above[above != 0], resamples, seed)  # a tie is a tie, whichever way it is turned
    return float(min(flips, _studentized(above, resamples, seed)))


def _sign_flips(above: Numbers, resamples: int, seed: int) -> float:
    """The share of all ways to turn the differences round, in which their sum is as large as it is; or of a sample."""
    from scipy import stats

    if len(above) == 1:
        return 0.5  # scipy wants two
    found = stats.permutation_test(
        (above,),
        np.sum,
        permutation_type="samples",
        alternative="greater",
        vectorized=True,
        n_resamples=resamples,
        batch=max(1, _AT_ONCE // len(above)),
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def _studentized(above: Numbers, resamples: int, seed: int) -> float:
    spread = above.std(ddof=1) if len(above) > 1 else 0.0
    if spread == 0:
        return 1.0  # the sign-flip test has the say
    reached = above.mean() / spread
    larger = sum(int((one >= reached).sum()) for one in _deviations(above, resamples, seed))
    return 1 - (1 + larger) / (1 + resamples)


def _deviations(above: Numbers, resamples: int, seed: int) -> Iterator[Numbers]:
    """How far the means of resamples lie from the mean, in each one's own standard deviations."""
    rng, mean = np.random.default_rng(seed), above.mean()
    at_once = max(1, _AT_ONCE // len(above))
    for done in range(0, resamples, at_once):
        drawn = above[rng.integers(0, len(above), (min(at_once, resamples - done), len(above)))]
        off, spread = drawn.mean(axis=1) - mean, drawn.std(axis=1, ddof=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            yield np.nan_to_num(off / spread, nan=0.0, posinf=np.inf, neginf=-np.inf)
