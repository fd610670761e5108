"""What is put aside for judging before an optimizer may spend anything."""

from types import SimpleNamespace
from typing import Any

import pytest

from t0dspy.errors import SettingsError
from t0dspy.flywheel.retraining.estimate import Expected
from t0dspy.flywheel.retraining.planning import budgets

PLAN = Expected(task_calls=1000, prompt_calls=30, judge_calls=200, incumbent_calls=50, cost=None)


def task(max_calls: int | None = None, max_cost: float | None = None) -> Any:
    """A retrain with these limits."""
    return SimpleNamespace(options=SimpleNamespace(max_calls=max_calls, max_cost=max_cost))


def test_a_challenger_with_longer_runs_can_still_be_judged() -> None:
    """The incumbent's half at its length, the challenger's at twice that: both fit into what is left."""
    search, whole = budgets(task(max_calls=1000), PLAN)
    assert search.calls is not None
    assert whole.calls is not None
    assert whole.calls - search.calls >= PLAN.judge_calls // 2 + 2 * PLAN.judge_calls // 2
    assert budgets(task(), PLAN)[0].calls is None


def test_a_budget_that_leaves_nothing_to_search_with_is_refused() -> None:
    """The least that would do is named."""
    with pytest.raises(SettingsError, match="take about 350 calls"):
        budgets(task(max_calls=350), PLAN)
    assert budgets(task(max_calls=351), PLAN)[0].calls == 51
