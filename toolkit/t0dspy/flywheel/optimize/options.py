"""The options of an optimizer."""

from dataclasses import dataclass
from typing import Literal

Optimizer = Literal["miprov2", "gepa"]
Auto = Literal["light", "medium", "heavy"]

SIZES: dict[Auto, tuple[int, int]] = {"light": (6, 100), "medium": (12, 300), "heavy": (18, 1000)}
"""DSPy's own sizes: the number of candidates, and the most validation examples."""


@dataclass(frozen=True)
class OptimizeOptions:
    """The options of the optimizer."""

    optimizer: Optimizer = "miprov2"
    auto: Auto = "light"
    seed: int = 9
    """Above 0, because DSPy treats 0 as no seed."""
    threads: int = 8
    max_demos: int = 4
    """Bootstrapped demos per predictor, and as many labeled ones; 0 leaves the demos unchanged."""
    stage: str | None = None
    """Optimize only this predictor."""
