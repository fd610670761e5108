"""The conditions that a challenger must meet to be promoted."""

import math
from dataclasses import dataclass

from t0dspy.errors import SettingsError


@dataclass(frozen=True)
class PromotionOptions:
    """The conditions that a challenger must meet to be promoted.

    Raises:
        SettingsError: a threshold is out of its range.
    """

    min_improvement: float = 0.0
    """The challenger's mean must exceed the incumbent's by more than this, in the metric's unit."""
    confidence: float = 0.8
    """The confidence that is required; 1 minus this is the risk of promoting a challenger that is not better."""
    level: float = 0.95
    """The level of the intervals that are shown."""
    max_slices: int = 20
    """A tag with more values than this, such as a user's id, is not sliced by."""
    strict: bool = False
    """Assume the largest loss that `score_range` allows, not the largest that the examples show."""
    score_range: tuple[float, float] = (0.0, 1.0)
    """The lowest and the highest score that the metric can return."""

    def __post_init__(self) -> None:
        """Check the thresholds, which may come from a file."""
        if not 0 < self.confidence <= 1:
            raise SettingsError(f"confidence: is {self.confidence!r}; write a number between 0 and 1, such as 0.8.")
        if not math.isfinite(self.min_improvement):
            raise SettingsError(f"min_improvement: is {self.min_improvement!r}; write a finite number.")
        low, high = self.score_range
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise SettingsError(f"score_range: is {self.score_range!r}; write the least and the largest score, [0, 1].")


DEFAULTS = PromotionOptions()
