"""Tables of scores by metric, version and slice."""

import math
from typing import Any

import pytest

from t0dspy.errors import SettingsError
from t0dspy.flywheel.promotion.compare import Difference
from t0dspy.flywheel.promotion.options import PromotionOptions
from t0dspy.flywheel.promotion.promotion import promotion_test

# Tables.
SCORED = {
    "quality": {"v1": [0.0, 0, 1, 0, 1, 0], "v2": [1.0, 1, 1, 1, 1, 1], "v0": [0.0] * 6},
    "short": {"v1": [0.5] * 6, "v2": [0.4] * 6},
}
TAGS = [{"lang": "de" if at % 2 else "en", "user": str(at), "all": "x"} for at in range(6)]


def test_tables_for_metrics_versions_and_slices() -> None:
    """The decision is by one metric; every other number is there to look at; a tag of many values makes no slices."""
    result = promotion_test(
        SCORED, metric="quality", incumbent="v1", challenger="v2", tags=TAGS, options=PromotionOptions(max_slices=3)
    )
    assert result.decision == "promote"
    assert result.difference == result.metrics["quality"]
    assert result.metrics["short"].difference == pytest.approx(-0.1)
    assert result.versions["quality"]["v0"].mean == 0
    assert result.versions["short"].keys() == {"v1", "v2"}
    assert {name: (one.examples, one.difference) for name, one in result.slices.items()} == {
        "lang=de": (3, 1.0),
        "lang=en": (3, pytest.approx(1 / 3)),
    }
    assert promotion_test(SCORED, metric="short", incumbent="v1", challenger="v2").decision == "keep"


def test_a_metric_may_lack_a_version() -> None:
    """What the incumbent was not scored by is shown by version, and not compared."""
    scores = {"quality": SCORED["quality"], "new": {"v2": [1.0] * 6}}
    result = promotion_test(scores, metric="quality", incumbent="v1", challenger="v2")
    assert result.metrics.keys() == {"quality"}
    assert result.versions["new"]["v2"].mean == 1


def test_the_same_scores_give_the_same_result() -> None:
    """To the last digit: nothing is drawn."""
    calls = [promotion_test(SCORED, metric="quality", incumbent="v1", challenger="v2", tags=TAGS) for _ in range(2)]
    assert calls[0] == calls[1]
    assert isinstance(calls[0].difference, Difference)


@pytest.mark.parametrize(
    ("scores", "options", "error", "says"),
    [
        ([math.nan, 1], {}, SettingsError, "metric quality, v2: returned nan for example 1"),
        ([1, math.inf], {}, SettingsError, "example 2"),
        ([-1e308, 1], {}, SettingsError, "too large"),
        ([1, 2], {"strict": True}, SettingsError, "metric quality, v2: returned 2 for example 2, outside"),
        ([1, 1], {"confidence": 80}, SettingsError, "confidence: is 80"),
        ([1, 1], {"confidence": math.nan}, SettingsError, "confidence: is nan"),
        ([1, 1], {"min_improvement": math.nan}, SettingsError, "min_improvement: is nan"),
        ([1, 1], {"score_range": (1, 0)}, SettingsError, "score_range: is"),
        ([1], {}, ValueError, "different numbers"),
        ([1, 1], {"groups": ["a"]}, ValueError, "1 groups"),
    ],
)
def test_scores_that_cannot_be_compared_are_named(scores: Any, options: Any, error: Any, says: str) -> None:
    """A score that is not a number is the metric's fault, and never a promotion."""
    groups = options.pop("groups", ())
    incumbent = [1e308, 0] if scores[0] == -1e308 else [0, 0]
    with pytest.raises(error, match=says):
        promotion_test(
            {"quality": {"v1": incumbent, "v2": scores}},
            metric="quality",
            incumbent="v1",
            challenger="v2",
            groups=groups,
            options=PromotionOptions(**options),
        )
