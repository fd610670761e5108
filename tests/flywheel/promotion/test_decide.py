"""The decision and the reason that it gives."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from t0dspy.flywheel.promotion.compare import compare
from t0dspy.flywheel.promotion.decide import decide
from t0dspy.flywheel.promotion.options import PromotionOptions


# The decision.
@pytest.mark.parametrize(
    ("incumbent", "challenger", "confidence"),
    [
        ([], [], 0),
        ([1], [1], 0),
        ([0.5] * 50, [0.5] * 50, 0),
        ([0], [1], 0.5),  # one example can go either way
        ([0, 0], [1, 1], 0.75),
        ([0, 0, 0], [1, 1, 1], 0.875),
        ([0.1] * 3 + [0.2] * 40, [0.2] * 3 + [0.2] * 40, 0.875),  # three differ, forty are tied
        ([0, 1], [1, 0], 0),
        ([1] * 20, [0] * 20, 0),
    ],
)
def test_few_examples_and_ties(incumbent: Any, challenger: Any, confidence: float) -> None:
    """The exact values of a fair coin: ties count for nothing, and one or two examples never suffice for 0.8."""
    found = compare(incumbent, challenger)
    assert found.confidence == pytest.approx(confidence, abs=1e-9)
    assert decide(found, PromotionOptions())[0] == ("promote" if confidence >= 0.8 else "keep")


def test_floating_point_breaks_no_tie() -> None:
    """0.3 - 0.2 is 0.1 here, and no gain over 0.1."""
    found = compare([0.2, 0.2, 0.2], [0.3, 0.3, 0.3], PromotionOptions(min_improvement=0.1))
    assert (found.confidence, decide(found, PromotionOptions(min_improvement=0.1))[0]) == (0, "keep")
    assert compare([0.1 + 0.2] * 5, [0.3] * 5).better == 0


def test_the_reason_says_what_counted() -> None:
    """Not better, not better by enough, perhaps by chance, nothing to judge by, and better."""
    rng = np.random.default_rng(0)
    low, high = rng.random(40) * 0.3, rng.random(40) * 0.3 + 0.5
    options = PromotionOptions(min_improvement=0.6)
    assert "is not better: -" in decide(compare(high, low), PromotionOptions())[1]
    assert "is not better by more than 0.6: +0.4" in decide(compare(low, high), options)[1]
    assert (
        "may be chance: +0.5 on 2 examples (1 better, 0 worse), confidence 50%"
        in decide(compare([0, 0], [1, 0]), PromotionOptions())[1]
    )
    assert "the holdout has no examples" in decide(compare([], []), PromotionOptions())[1]
    assert decide(compare(low, high), PromotionOptions()) == (
        "promote",
        f"the challenger is better: {high.mean() - low.mean():+.4g} on 40 examples (40 better, 0 worse), "
        "confidence 99.9% that it is better, 80% asked for",
    )


def test_what_falls_short_never_looks_as_if_it_did_not() -> None:
    """79.99% is not shown as 80%."""
    found = replace(compare([0, 0, 0], [1, 1, 0]), confidence=0.79999)
    assert "confidence 79.9% " in decide(found, PromotionOptions())[1]
