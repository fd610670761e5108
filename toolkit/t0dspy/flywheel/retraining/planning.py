"""What a retrain will take, and what each part of it may spend."""

import math

import dspy

from t0dspy.errors import SettingsError
from t0dspy.flywheel.optimize import OptimizeOptions
from t0dspy.flywheel.optimizing.spending import Budget
from t0dspy.flywheel.retraining.estimate import Expected, expected
from t0dspy.flywheel.retraining.gather import Gathered
from t0dspy.flywheel.retraining.task import Task, model_name

_SLACK = 1.5
"""Of what judging is expected to take, so much is put aside for it."""


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
    return math.ceil(_SLACK * plan.judge_calls) + plan.incumbent_calls


def budgets(task: Task, plan: Expected) -> tuple[Budget, Budget]:
    """What the optimizer may spend, and what all may: the judge's part is put aside first.

    Half as much again is put aside as judging would take if the challenger's runs were as long as the incumbent's: a
    better plan may well have more sections.

    Raises:
        SettingsError: so little that nothing is left to optimize with.
    """
    whole = Budget(task.options.max_calls, task.options.max_cost)
    judging = math.ceil(_SLACK * plan.judge_calls)
    calls = None if whole.calls is None else whole.calls - judging
    if calls is not None and calls <= plan.incumbent_calls:
        raise SettingsError(
            f"--max-calls {whole.calls}: evaluating the incumbent and judging alone take about {least_calls(plan)} "
            "calls, and the search comes on top."
        )
    share = min(0.5, _SLACK * plan.judge_calls / max(1, plan.calls))
    return Budget(calls, None if whole.cost is None else whole.cost * (1 - share)), whole
