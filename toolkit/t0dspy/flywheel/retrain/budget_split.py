"""What a retrain will take, and what each part of it may spend."""

import dspy

from t0dspy.errors import SettingsError
from t0dspy.flywheel.models.budget import Budget
from t0dspy.flywheel.optimize.optimize import OptimizeOptions
from t0dspy.flywheel.retrain.estimate import Expected, expected
from t0dspy.flywheel.retrain.gather import Gathered
from t0dspy.flywheel.retrain.task import Task, model_name


def expected_of(task: Task, gathered: Gathered, incumbent: dspy.Module) -> Expected:
    """What the run is expected to take at most."""
    sets = (gathered.train, gathered.validation, gathered.holdout)
    names = [model_name(task.model_settings[role]) for role in ("task", "prompt", "judge")]
    return expected(incumbent, optimize_options(task), sets, (names[0], names[1], names[2]), task.prices)


def optimize_options(task: Task) -> OptimizeOptions:
    """How to optimize, as asked and as set."""
    asked = task.options
    return OptimizeOptions(asked.optimizer, asked.auto, asked.seed, asked.threads, task.own.max_demos, asked.stage)


def least_calls(plan: Expected) -> int:
    """What evaluating the incumbent and judging take together, the judge's reserve included; the search is on top."""
    return plan.judge_calls + plan.incumbent_calls


def budgets(task: Task, plan: Expected) -> tuple[Budget, Budget]:
    """What the optimizer may spend, and what all may: the judge's part is put aside first.

    Raises:
        SettingsError: so little that nothing is left to optimize with.
    """
    whole = Budget(task.options.max_calls, task.options.max_cost)
    calls = None if whole.calls is None else whole.calls - plan.judge_calls
    if calls is not None and calls <= plan.incumbent_calls:
        raise SettingsError(
            f"--max-calls {whole.calls}: evaluating the incumbent and judging alone take about {least_calls(plan)} "
            "calls, and the search comes on top."
        )
    share = min(0.5, plan.judge_calls / max(1, plan.calls))
    return Budget(calls, None if whole.cost is None else whole.cost * (1 - share)), whole
