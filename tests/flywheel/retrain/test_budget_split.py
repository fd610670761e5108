"""What is put aside for judging before an optimizer may spend anything."""

from types import SimpleNamespace
from typing import Any

import dspy
import pytest

from t0dspy.errors import SettingsError
from t0dspy.flywheel.example import PulledExample
from t0dspy.flywheel.optimize.options import OptimizeOptions
from t0dspy.flywheel.retrain.budget_split import budgets
from t0dspy.flywheel.retrain.estimate import Expected, expected

PLAN = Expected(task_calls=1000, prompt_calls=30, judge_calls=300, incumbent_calls=50, cost=None)


def task(max_calls: int | None = None, max_cost: float | None = None) -> Any:
    """A retrain with these limits."""
    return SimpleNamespace(options=SimpleNamespace(max_calls=max_calls, max_cost=max_cost))


def test_a_challenger_with_longer_runs_can_still_be_judged() -> None:
    """Judging is expected to take the incumbent's run of each example, and a challenger's of twice as many calls."""
    one = PulledExample(inputs={"question": "q"}, outputs=None, model_outputs=None, demonstration=False)
    found = expected(dspy.Predict("question -> answer"), OptimizeOptions(), ([one], [one], [one] * 40), ("m",) * 3, {})
    assert found.judge_calls == 40 + 2 * 40


def test_the_judges_part_is_put_aside() -> None:
    """A budget that leaves nothing to search with is refused, and the least that would do is named."""
    with pytest.raises(SettingsError, match="take about 350 calls"):
        budgets(task(max_calls=350), PLAN)
    assert budgets(task(max_calls=351), PLAN)[0].calls == 51
    assert budgets(task(), PLAN)[0].calls is None
