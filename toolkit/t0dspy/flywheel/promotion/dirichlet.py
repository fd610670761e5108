"""Compute the Dirichlet confidence that a mean is above a bound, and the interval that follows from it.

The data are sums over groups of examples that may depend on each other. One more group, with the worst possible loss,
is added to them. The confidence is the probability that a randomly weighted sum of all groups is above 0, where the
weights are independent standard exponential variables (equivalently, a Dirichlet distribution).

For right-or-wrong scores the confidence equals 1 minus the p-value of the exact McNemar test. It needs no seed, it
rises with every score, and it does not rely on variance that the data happen not to show.

Sources:
    N. Gaffke, "Three test statistics for a nonparametric one-sided hypothesis on the mean of a nonnegative variable",
    Mathematical Methods of Statistics 14 (2005).
    E. Learned-Miller and P. S. Thomas, "A New Confidence Interval for the Mean of a Bounded Random Variable",
    arXiv:1905.06208, which conjectures that the level is exact for a known bound.
    M. Phan, P. S. Thomas and E. Learned-Miller, "Towards Practical Mean Bounds for Small Samples", arXiv:2106.03163,
    which proves bounds of this family.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

_AT_ONCE = 1_000_000
"""How many numbers are held in memory at once (8 MB): more groups take more time, not more memory."""
_STEP = 0.15
"""The step of the integration; the error falls as exp(-10 / step), so it is below the last digit."""
_NEGLIGIBLE = 42.0
"""An integrand below exp(-42) of its largest value adds nothing to the last digit."""
_BISECTIONS = 25
"""For the line of integration, which need not be exactly at the saddle point."""
_STEPS = 120
_NARROW = 1e-9
"""The precision of a limit, relative to its range."""
_LAST_DIGIT = 1e-15


@dataclass(frozen=True)
class GroupSums:
    """Values summed over groups of examples."""

    sums: Numbers
    sizes: Numbers
    """How many examples each group has."""
    worst: float
    """The largest loss of a group, 0 or more."""

    @property
    def mean(self) -> float:
        """Return the mean over examples."""
        return float(self.sums.sum() / self.sizes.sum())

    def confidence_above(self, bound: float) -> float:
        """Return the confidence, 0 to 1, that the true mean over examples is above `bound`."""
        above = without_noise(self.sums - bound * self.sizes, self.sums, bound * self.sizes)
        return self._confidence(above, bound) if above.sum() > 0 else 0.0

    def lower_limit(self, level: float) -> float:
        """Return the bound above which the true mean lies with confidence `level`, a number from 0.5 to below 1.

        The search uses the normal scale, because the confidence is almost a straight line there.
        """

        def beyond(bound: float) -> float:
            return _normal(self._confidence(self.sums - bound * self.sizes, bound)) - _normal(level)

        high, end = self.mean, self._low_end()
        width = 2 * float(np.linalg.norm(self.sums - high * self.sizes)) / float(self.sizes.sum())
        low = high - width
        while end < low < high and beyond(low) < 0:
            low = high - 2 * (high - low)
        return _last_above(beyond, low if end < low < high else end, high)

    def _low_end(self) -> float:
        """Return a bound below all groups and the worst case, so that the confidence is 1 there."""
        least = min(0.0, float((self.sums / self.sizes).min()), -self.worst / float(self.sizes.min()))
        return least * (1 + _NARROW)

    def _confidence(self, above: Numbers, bound: float) -> float:
        """Return the confidence after adding the worst case as a group of the size that makes it worst."""
        size = float(self.sizes.max() if bound > 0 else self.sizes.min())
        return probability_positive(np.append(above, -(self.worst + bound * size)))


def group_sums(values: Numbers, groups: NDArray[np.intp] | None, worst: float | None) -> GroupSums:
    """Sum `values` over groups.

    Args:
        values: one value per example, at least one.
        groups: the number of each example's group, from 0; None if each example is a group.
        worst: the largest loss of one example; None for the largest absolute sum of any group.
    """
    if groups is None:
        sums, sizes = values, np.ones(len(values))
    else:
        sums, sizes = _summed(values, groups), _summed(np.ones(len(values)), groups)
        sums = without_noise(sums, _summed(np.abs(values), groups))
    loss = float(np.abs(sums).max()) if worst is None else worst * float(sizes.max())
    return GroupSums(sums, sizes, loss)


def _summed(values: Numbers, groups: NDArray[np.intp]) -> Numbers:
    return np.bincount(groups, weights=values).astype(np.float64)


def probability_positive(values: Numbers) -> float:
    """Return P(sum of E_i * values_i > 0), where the E_i are independent standard exponential variables.

    The moment generating function is inverted by the trapezoidal rule along a vertical line through the saddle point
    (Daniels, "Saddlepoint approximations in statistics", 1954, without the approximation). The line is on the side of
    the smaller tail, so that its probability keeps its relative accuracy.

    Args:
        values: finite numbers.

    Returns:
        The probability, 0 if no value is above 0; accurate to about 1e-12.
    """
    largest = float(np.abs(values).max(initial=0.0))
    if largest == 0 or values.max() <= 0:
        return 0.0
    if values.min() >= 0:
        return 1.0
    distinct, counts = np.unique(values[values != 0] / largest, return_counts=True)
    mirrored = float(distinct @ counts) > 0
    tail = _upper_tail(-distinct if mirrored else distinct, counts.astype(float))
    return 1 - tail if mirrored else tail


def _upper_tail(values: Numbers, counts: Numbers) -> float:
    """Return the probability that the sum is above 0, for a sum whose mean is not above 0."""
    saddle = _saddle(values, counts)
    turned = values / (1 - saddle * values)
    scale = 1 / math.sqrt(float(counts @ turned**2) + saddle**-2)
    points = scale * np.sinh(np.arange(0, _reach(turned, counts, scale, saddle), _STEP))
    size, angle = np.zeros_like(points), np.zeros_like(points)
    chunk = max(1, _AT_ONCE // len(points))
    for start in range(0, len(values), chunk):
        part, count = turned[start : start + chunk, None] * points, counts[start : start + chunk]
        size += count @ np.log1p(part**2) / 2
        angle += count @ np.arctan(part)
    height = (saddle * np.cos(angle) + points * np.sin(angle)) / (saddle**2 + points**2) * np.exp(-size)
    weighted = height * np.sqrt(scale**2 + points**2)
    total = float(weighted.sum() - weighted[0] / 2) * _STEP / math.pi
    return min(1.0, max(0.0, total * math.exp(-float(counts @ np.log1p(-saddle * values)))))


def _saddle(values: Numbers, counts: Numbers) -> float:
    """Return a point between 0 and 1 / largest value near the minimum of the integrand on the real axis."""
    low, high = 0.0, 1 / float(values.max())
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if float(counts @ (values / (1 - middle * values))) * middle > 1:
            high = middle
        else:
            low = middle
    return low


def _reach(turned: Numbers, counts: Numbers, scale: float, saddle: float) -> float:
    """Return how far to integrate, in steps of the hyperbolic sine."""
    reach = 3.0
    while True:
        point = scale * math.sinh(reach)
        size = float(counts @ np.log1p((turned * point) ** 2)) / 2 + math.log(math.hypot(saddle, point) / saddle)
        if size - reach > _NEGLIGIBLE or reach > _NEGLIGIBLE:
            return reach
        reach += 0.5


def _last_above(beyond: Callable[[float], float], low: float, high: float) -> float:
    """Return the last point from `low` on where the falling function `beyond` is 0 or more (Illinois method).

    Every third step halves the interval, so that a flat stretch costs no more than bisection.
    """
    at_low, at_high, tolerance, kept = beyond(low), beyond(high), _NARROW * (high - low), 0
    for step in range(_STEPS):
        if high - low <= tolerance:
            break
        middle = (low + high) / 2 if step % 3 == 2 else low + (high - low) * at_low / (at_low - at_high)
        value = beyond(middle)
        if abs(value) < _NARROW:
            return middle
        if value >= 0:
            low, at_low, at_high, kept = middle, value, at_high / (2 if kept > 0 else 1), 1
        else:
            high, at_high, at_low, kept = middle, value, at_low / (2 if kept < 0 else 1), -1
    return low


def _normal(probability: float) -> float:
    return NormalDist().inv_cdf(min(max(probability, _LAST_DIGIT), 1 - _LAST_DIGIT))


def without_noise(differences: Numbers, *terms: Numbers) -> Numbers:
    """Return differences without floating-point noise, because of which 0.3 - 0.2 would be less than 0.1 - 0."""
    scale = max(float(np.abs(term).max(initial=0.0)) for term in (differences, *terms))
    if scale == 0:
        return differences
    step = 2.0 ** (math.frexp(scale)[1] - 40)
    return np.round(differences / step) * step
