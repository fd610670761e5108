"""Estimate what a retrain costs, and split its budget among its parts."""

import dspy

from t0dspy.errors import SettingsError
from t0dspy.flywheel.models.budget import Budget
from t0dspy.flywheel.optimize.options import OptimizeOptions
from t0dspy.flywheel.retrain.estimate import Expected, expected
from t0dspy.flywheel.retrain.gather import Gathered
from t0dspy.flywheel.retrain.task import Task, model_name


def expected_of(task: Task, gathered: Gathered, incumbent: dspy.Module) -> Expected:
    """Return the most calls and cost that the run is expected to take."""
    sets = (gathered.train, gathered.validation, gathered.holdout)
    names = [model_name(task.model_settings[role]) for role in ("task", "prompt", "judge")]
    return expected(incumbent, optimize_options(task), sets, (names[0], names[1], names[2]), task.prices)


def optimize_options(task: Task) -> OptimizeOptions:
    """Return the options of the optimizer, from the command's options and the program's settings."""
    asked = task.options
    return OptimizeOptions(
        asked.optimizer, asked.auto, asked.seed, asked.threads, task.program_settings.max_demos, asked.stage
    )


def least_calls(plan: Expected) -> int:
    """Return the calls that scoring the incumbent and the promotion test take; the search adds to them."""
    return plan.judge_calls + plan.incumbent_calls


def budgets(task: Task, plan: Expected) -> tuple[Budget, Budget]:
    """Return the optimizer's budget and the whole budget; the part of the promotion test is reserved first.

    Raises:
        SettingsError: the budget is so small that nothing is left for the optimizer.
    """
    whole = Budget(task.options.max_calls, task.options.max_cost)
    calls = None if whole.calls is None else whole.calls - plan.judge_calls
    if calls is not None and calls <= plan.incumbent_calls:
        raise SettingsError(
            f"--max-calls {whole.calls}: scoring the incumbent and the promotion test take about {least_calls(plan)} "
            "calls, and the search comes on top."
        )
    share = min(0.5, plan.judge_calls / max(1, plan.calls))
    return Budget(calls, None if whole.cost is None else whole.cost * (1 - share)), whole
