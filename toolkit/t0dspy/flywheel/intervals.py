"""How sure a mean is: bootstrap intervals over examples."""

from collections.abc import Sequence
from dataclasses import dataclass

from t0dspy.errors import OptimizeError

RESAMPLES = 5000


@dataclass(frozen=True)
class Interval:
    """A mean and where it lies with 95% confidence."""

    mean: float
    low: float
    high: float
    positive: float
    """The share of resamples whose mean is above 0: of a paired difference, how sure it is that it is no loss."""


def mean_interval(values: Sequence[float], *, seed: int = 0) -> Interval:
    """The mean of `values` with its percentile bootstrap interval (Efron & Tibshirani 1993, chapter 13).

    Of paired differences it is the paired bootstrap: whole examples are drawn again, with both of their scores.

    Args:
        values: one for each example; at least one.
        seed: of the resamples.

    Raises:
        OptimizeError: numpy, which comes with the extra `retrain`, is missing.
    """
    try:
        import numpy
    except ModuleNotFoundError as error:
        raise OptimizeError("intervals need numpy: pip install 't0dspy[retrain]'.") from error
    found = numpy.asarray(values, dtype=float)
    rng = numpy.random.default_rng(seed)
    means = numpy.array([found[rng.integers(0, len(found), len(found))].mean() for _ in range(RESAMPLES)])
    low, high = numpy.quantile(means, [0.025, 0.975])
    return Interval(float(found.mean()), float(low), float(high), float((means > 0).mean()))
