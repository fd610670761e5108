"""Estimate the model calls of a retrain, and their cost if prices are known."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dspy

from t0dspy.compiler.introspect import signature_of
from t0dspy.flywheel.example import PulledExample
from t0dspy.flywheel.models.budget import Price
from t0dspy.flywheel.optimize.options import SIZES, OptimizeOptions
from t0dspy.flywheel.optimize.search import expected_calls

_LETTERS = 4
"""Characters per token, roughly."""

_PROMPT_MODEL = (3000, 400)
"""Input and output tokens of a call that writes an instruction, roughly."""


_LONGER = 2.0
"""A challenger's run may take this many times the incumbent's calls, because a better plan may have more sections."""


@dataclass(frozen=True)
class Expected:
    """The most calls that are expected; repeated requests are sent once."""

    task_calls: int
    prompt_calls: int
    judge_calls: int
    incumbent_calls: int
    """The task model's calls for scoring the incumbent, before any search."""
    cost: float | None
    """US dollars; None if a price is unknown."""

    @property
    def calls(self) -> int:
        """Return the sum of the calls."""
        return self.task_calls + self.prompt_calls + self.judge_calls


def expected(
    program: dspy.Module,
    options: OptimizeOptions,
    sets: tuple[Sequence[PulledExample], Sequence[PulledExample], Sequence[PulledExample]],
    models: tuple[str, str, str],
    prices: Mapping[str, Price],
) -> Expected:
    """Return the most that optimizing and the promotion test are expected to take.

    Args:
        program: the incumbent.
        options: the options of the optimizer.
        sets: train, validation and holdout.
        models: DSPy's names of the task model, the prompt model, and the model of the promotion test.
        prices: by DSPy's name.
    """
    train, validation, holdout = sets
    predictors = len(program.predictors())
    each = calls_per_run([*train, *validation, *holdout], predictors)
    task, prompt = expected_calls(
        options, predictors=predictors, train=len(train), validation=len(validation), calls_per_run=each
    )
    judge = math.ceil((1 + _LONGER) * len(holdout) * each)
    cost = None
    if all(name in prices for name in models):
        tokens = _tokens(program, [*train, *validation], options.max_demos)
        counts = (task, prompt, judge)
        sizes = (tokens, _PROMPT_MODEL, tokens)
        cost = sum(
            count * (size[0] * prices[name].input + size[1] * prices[name].output) / 1e6
            for count, size, name in zip(counts, sizes, models, strict=True)
        )
    return Expected(task, prompt, judge, math.ceil(min(len(validation), SIZES[options.auto][1]) * each), cost)


def calls_per_run(examples: Sequence[PulledExample], predictors: int) -> float:
    """Return the mean number of model calls per run: that of the logged runs, or else one call per predictor."""
    logged = [len(example.stages) for example in examples if example.stages]
    return sum(logged) / len(logged) if logged else float(predictors)


def _tokens(program: dspy.Module, examples: Sequence[PulledExample], demos: int) -> tuple[int, int]:
    """Return the input and output tokens of a call, roughly: a prompt with half of the demos that are possible."""
    predictors = program.predictors()
    instructions = sum(len(signature_of(each).instructions) + 600 for each in predictors) / max(1, len(predictors))
    calls = [call for each in examples[:50] for call in (each.stages or (each,))]
    given = sum(len(str(dict(call.inputs))) for call in calls) / max(1, len(calls))
    answers = [len(str(dict(call.outputs))) for call in calls if call.outputs]
    answer = sum(answers) / len(answers) if answers else 400
    return round((instructions + given + demos / 2 * (given + answer)) / _LETTERS), round(answer / _LETTERS) + 10
