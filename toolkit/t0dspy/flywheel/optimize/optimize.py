"""Optimize a program: start from the incumbent and return the best candidate on the validation set."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import dspy

from t0dspy.errors import OptimizeError
from t0dspy.flywheel.metrics import Metric
from t0dspy.flywheel.models.budget import Stop
from t0dspy.flywheel.models.silence import redirect_output
from t0dspy.flywheel.optimize.candidates import (
    copy_with_prompts,
    same_prompts,
    stage_index,
    student_of,
)
from t0dspy.flywheel.optimize.options import SIZES, OptimizeOptions
from t0dspy.flywheel.optimize.proposals import Proposals
from t0dspy.flywheel.optimize.search import OPTIMIZERS, Data, Models, Search, search
from t0dspy.flywheel.optimize.trials import Trial, Trials


@dataclass(frozen=True)
class Optimized:
    """The result of an optimizer."""

    program: dspy.Module
    """The best program; it has the incumbent's prompts if nothing was better."""
    better: bool
    """Whether it differs from the incumbent and scored higher on the validation set."""
    incumbent_score: float
    score: float
    trials: Sequence[Trial]
    ended: Literal["finished", "budget"]
    notes: Sequence[str]
    refused: Mapping[str, int] = field(default_factory=dict)
    """Kind of text and reason -> how many demos and instructions the screen refused."""


def optimize(
    incumbent: dspy.Module,
    data: Data,
    metric: Metric,
    models: Models,
    adapter: dspy.Adapter,
    options: OptimizeOptions | None = None,
    *,
    progress: Callable[[str], None] = lambda text: None,
    log: Path | None = None,
) -> Optimized:
    """Optimize `incumbent` in its prompt form; return the best candidate that was scored on the whole validation set.

    Args:
        incumbent: the live program with the incumbent's instructions and demos; it is not changed.
        data: the examples and demos that the optimizer may use.
        metric: the user's metric.
        models: counted models.
        adapter: the adapter that is served.
        options: the options of the optimizer.
        progress: called with a line of progress.
        log: the file for the optimizer's own output; None discards it.

    Returns:
        The best program, its score, and all trials.

    Raises:
        OptimizeError: optuna is missing, the model does not answer, nothing could be proposed, every score is 0, or the
            optimizer failed.
        MetricError: the metric raised an exception.
        SettingsError: the cost is limited and a model has no price.
    """
    options = options or OptimizeOptions()
    _check(data, options)
    student = student_of(incumbent)
    only = stage_index(student, options.stage)
    trials = Trials(_sampled(data.validation, options), metric, models.ledger, options.threads, progress)
    proposals = Proposals(options.optimizer)
    data.gate.refused.clear()  # the report counts what this search proposed, not an earlier one on the same data
    ended: Literal["finished", "budget"] = "finished"
    with redirect_output(log), dspy.context(lm=models.task, adapter=adapter, disable_history=True):
        try:
            trials.begin(student)
            search(Search(student, data, models, options, trials, only, proposals, progress))
        except Stop as stop:
            if stop.why is not None:
                raise stop.why from stop
            ended = "budget"
    proposals.check(models.ledger.spent.calls)
    optimized = _result(incumbent, trials, ended, proposals)
    return replace(optimized, refused=dict(data.gate.refused), notes=[*optimized.notes, *data.gate.notes()])


def _sampled(validation: Sequence[dspy.Example], options: OptimizeOptions) -> list[dspy.Example]:
    """Return as many examples as DSPy's own search would use, so that all trials are scored on the same ones."""
    most = SIZES[options.auto][1]
    if len(validation) <= most:
        return list(validation)
    return random.Random(options.seed).sample(list(validation), most)


def _result(
    incumbent: dspy.Module, trials: Trials, ended: Literal["finished", "budget"], proposals: Proposals
) -> Optimized:
    if trials.best is None:
        raise OptimizeError("the budget ended before the incumbent itself was evaluated; allow more calls.")
    if all(trial.score == 0 for trial in trials.trials):
        raise OptimizeError(
            f"all {len(trials.trials)} candidates scored exactly 0, the incumbent too: the metric or the data is "
            "wrong. Try the metric on one example with `t0dspy evaluate`."
        )
    first = trials.trials[0].score
    program = copy_with_prompts(incumbent, trials.best)
    better = trials.best_score > first and not same_prompts(program, incumbent)
    return Optimized(
        program=program,
        better=better,
        incumbent_score=first,
        score=trials.best_score,
        trials=tuple(trials.trials),
        ended=ended,
        notes=(*proposals.notes(), *_no_candidate(trials, proposals)),
    )


def _no_candidate(trials: Trials, proposals: Proposals) -> list[str]:
    """Return a note if instructions were proposed and none of them became a candidate."""
    if len(trials.trials) > 1 or not proposals.made:
        return []
    return [
        f"{proposals.optimizer} proposed {proposals.made} instructions, and on its samples of the training examples "
        "none was better than the incumbent's."
    ]


def _check(data: Data, options: OptimizeOptions) -> None:
    # Workaround (dspy 3.4): MIPROv2 replaces a seed of 0 by its default seed (`seed or self.seed`); remove when it
    # compares with None.
    if options.seed < 1:
        raise OptimizeError(f"a seed of {options.seed}: give one above 0, because DSPy treats 0 as no seed.")
    if not data.train or not data.validation:
        raise OptimizeError(f"{len(data.train)} examples to train and {len(data.validation)} to validate with.")
    OPTIMIZERS[options.optimizer].check_installed()
