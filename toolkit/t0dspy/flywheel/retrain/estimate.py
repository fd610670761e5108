"""What a retrain is expected to take, before it does: calls of models, and their cost where prices are known."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dspy

from t0dspy.compiler.introspect import signature_of
from t0dspy.flywheel.example import PulledExample
from t0dspy.flywheel.models.budget import Price
from t0dspy.flywheel.optimize.optimize import SIZES, OptimizeOptions, expected_calls

_LETTERS = 4
"""Characters of a token, roughly."""

_PROMPT_MODEL = (3000, 400)
"""Tokens in and out of a call that writes an instruction, roughly."""


_LONGER = 2.0
"""So many times as many calls as the incumbent's run may a challenger's take: a better plan may have more sections."""


@dataclass(frozen=True)
class Expected:
    """At most so much; repeated requests are asked once."""

    task_calls: int
    prompt_calls: int
    judge_calls: int
    incumbent_calls: int
    """Of the task model's calls, those that evaluating the incumbent takes, before any search."""
    cost: float | None
    """US dollars; None where a price is not known."""

    @property
    def calls(self) -> int:
        """All of them."""
        return self.task_calls + self.prompt_calls + self.judge_calls


def expected(
    program: dspy.Module,
    options: OptimizeOptions,
    sets: tuple[Sequence[PulledExample], Sequence[PulledExample], Sequence[PulledExample]],
    models: tuple[str, str, str],
    prices: Mapping[str, Price],
) -> Expected:
    """What optimizing and judging take at most.

    Args:
        program: the incumbent.
        options: how it is optimized.
        sets: train, validation and holdout.
        models: DSPy's names of the task, prompt and judge model.
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
    """How many calls of a model a run makes: as the logged runs did, else one for each predictor."""
    logged = [len(one.stages) for one in examples if one.stages]
    return sum(logged) / len(logged) if logged else float(predictors)


def _tokens(program: dspy.Module, examples: Sequence[PulledExample], demos: int) -> tuple[int, int]:
    """Tokens in and out of a call, roughly: a prompt with half of the demos that may come."""
    predictors = program.predictors()
    instructions = sum(len(signature_of(one).instructions) + 600 for one in predictors) / max(1, len(predictors))
    calls = [call for one in examples[:50] for call in (one.stages or (one,))]
    given = sum(len(str(dict(call.inputs))) for call in calls) / max(1, len(calls))
    said = [len(str(dict(call.outputs))) for call in calls if call.outputs]
    answer = sum(said) / len(said) if said else 400
    return round((instructions + given + demos / 2 * (given + answer)) / _LETTERS), round(answer / _LETTERS) + 10
