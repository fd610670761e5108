"""Recompile a program: from the incumbent, with an optimizer of DSPy's, to the best that the validation set found."""

import importlib.util
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import dspy

from t0dspy.compiler.adapters import served_adapter
from t0dspy.errors import OptimizeError, T0dspyError
from t0dspy.flywheel.metrics import Metric
from t0dspy.flywheel.models.budget import Ledger, Stop
from t0dspy.flywheel.models.silence import quietly
from t0dspy.flywheel.optimize.candidates import (
    DemoSets,
    Sealed,
    same_prompts,
    stage_index,
    student_of,
    with_prompts_of,
)
from t0dspy.flywheel.optimize.gate import Gate, Sources
from t0dspy.flywheel.optimize.proposals import Proposals
from t0dspy.flywheel.optimize.trials import Trial, Trials
from t0dspy.model import PromptForm

Optimizer = Literal["miprov2", "gepa"]
Auto = Literal["light", "medium", "heavy"]

SIZES: dict[Auto, tuple[int, int]] = {"light": (6, 100), "medium": (12, 300), "heavy": (18, 1000)}
"""DSPy's own sizes: candidates, and the most validation examples."""


@dataclass(frozen=True)
class OptimizeOptions:
    """How to optimize."""

    optimizer: Optimizer = "miprov2"
    auto: Auto = "light"
    seed: int = 9
    """Above 0: DSPy takes 0 for none."""
    threads: int = 8
    max_demos: int = 4
    """Bootstrapped demos of a predictor, and as many labelled ones; 0 leaves the demos as they are."""
    stage: str | None = None
    """Optimize this predictor alone."""


@dataclass(frozen=True)
class Data:
    """What an optimizer may see. Neither list holds anything of the holdout."""

    train: Sequence[dspy.Example]
    validation: Sequence[dspy.Example]
    demos: DemoSets = field(default_factory=dict)
    """Sets of demos from production to try."""
    sealed: Sealed = field(default_factory=lambda: Sealed(()))
    gate: Gate = field(default_factory=Gate)
    """What may stand in a prompt."""
    sources: Sources = field(default_factory=Sources)
    """From which example each bootstrapped demo was made; filled by the search."""


@dataclass(frozen=True)
class Models:
    """`task` runs the program, `prompt` writes instructions; `ledger` counts both."""

    task: dspy.LM
    prompt: dspy.LM
    ledger: Ledger


@dataclass(frozen=True)
class Optimized:
    """What an optimizer found."""

    program: dspy.Module
    """The best one; the incumbent's prompts where nothing was better."""
    better: bool
    """Whether it is another than the incumbent, with a higher score on the validation set."""
    incumbent_score: float
    score: float
    trials: Sequence[Trial]
    ended: Literal["finished", "budget"]
    notes: Sequence[str]
    refused: Mapping[str, int] = field(default_factory=dict)
    """Demos and instructions that the screen refused, with the reason -> how many."""


def optimize(
    incumbent: dspy.Module,
    data: Data,
    metric: Metric,
    models: Models,
    form: PromptForm,
    options: OptimizeOptions | None = None,
    *,
    progress: Callable[[str], None] = lambda text: None,
    log: Path | None = None,
) -> Optimized:
    """Recompile `incumbent` in its prompt form, and keep the best that was evaluated on the whole validation set.

    Args:
        incumbent: the live program with the incumbent's instructions and demos; it is not changed.
        data: what the optimizer may see.
        metric: the user's.
        models: counted ones.
        form: the prompt form that is served.
        options: how.
        progress: called with a line about what is being done.
        log: where the optimizer's own output goes; by default nowhere.

    Raises:
        OptimizeError: optuna is missing, the model does not answer, nothing could be proposed, every score is 0, or the
            optimizer failed.
        MetricError: the metric raises.
        SettingsError: the cost is limited and a model has no price.
    """
    options = options or OptimizeOptions()
    _check(data, options)
    student = student_of(incumbent)
    only = stage_index(student, options.stage)
    trials = Trials(_sampled(data.validation, options), metric, models.ledger, options.threads, progress)
    proposals = Proposals(options.optimizer)
    ended: Literal["finished", "budget"] = "finished"
    with quietly(log), dspy.context(lm=models.task, adapter=served_adapter(form), disable_history=True):
        try:
            trials.begin(student)
            _search(student, data, models, options, trials, only, proposals, progress)
        except Stop as stop:
            if stop.why is not None:
                raise stop.why from stop
            ended = "budget"
    proposals.check(models.ledger.spent.calls)
    found = _optimized(incumbent, trials, ended, proposals)
    return replace(found, refused=dict(data.gate.refused), notes=[*found.notes, *data.gate.notes()])


def _sampled(validation: Sequence[dspy.Example], options: OptimizeOptions) -> list[dspy.Example]:
    """As many as DSPy's own search would take, drawn before it does, so that all trials are scored on the same."""
    most = SIZES[options.auto][1]
    if len(validation) <= most:
        return list(validation)
    return random.Random(options.seed).sample(list(validation), most)


def _search(
    student: dspy.Module,
    data: Data,
    models: Models,
    options: OptimizeOptions,
    trials: Trials,
    only: int | None,
    proposals: Proposals,
    progress: Callable[[str], None],
) -> None:
    try:
        _OPTIMIZERS[options.optimizer].search(student, data, models, options, trials, only, proposals, progress)
    except T0dspyError:
        raise
    except Exception as error:
        raise OptimizeError(f"{options.optimizer} failed: {type(error).__name__}: {str(error)[:500]}") from error


def _miprov2(
    student: dspy.Module,
    data: Data,
    models: Models,
    options: OptimizeOptions,
    trials: Trials,
    only: int | None,
    proposals: Proposals,
    progress: Callable[[str], None],
) -> None:
    from t0dspy.flywheel.optimize.mipro import Recompiler

    teacher = student.deepcopy()
    # Workaround (dspy 3.4): BootstrapFewShot replaces the demos of a teacher that is not marked as compiled; remove
    # when it keeps them.
    teacher._compiled = True
    optimizer = Recompiler(
        metric=data.sources.watched(trials.metric),
        prompt_model=models.prompt,
        task_model=models.task,
        auto=options.auto,
        seed=options.seed,
        num_threads=options.threads,
        max_bootstrapped_demos=options.max_demos,
        max_labeled_demos=options.max_demos,
        track_stats=False,
        trials=trials,
        demos=data.demos,
        sealed=data.sealed,
        proposals=proposals,
        gate=data.gate,
        only=only,
        progress=progress,
    )
    optimizer.compile(student, trainset=list(data.train), valset=trials.validation, teacher=teacher)


def _gepa(
    student: dspy.Module,
    data: Data,
    models: Models,
    options: OptimizeOptions,
    trials: Trials,
    only: int | None,
    proposals: Proposals,
    progress: Callable[[str], None],
) -> None:
    from t0dspy.flywheel.optimize.gepa import reflect

    path = None if only is None else student.named_predictors()[only][0]
    reflect(
        student,
        data.train,
        trials,
        gate=data.gate,
        prompt_model=models.prompt,
        auto=options.auto,
        seed=options.seed,
        only=path,
        proposals=proposals,
        progress=progress,
    )


def _optimized(
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
    program = with_prompts_of(incumbent, trials.best)
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
    """A note where instructions were proposed and none of them became a candidate."""
    if len(trials.trials) > 1 or not proposals.made:
        return []
    return [
        f"{proposals.optimizer} proposed {proposals.made} instructions, and on its samples of the training examples "
        "none was better than the incumbent's."
    ]


def expected_calls(
    options: OptimizeOptions, *, predictors: int, train: int, validation: int, calls_per_run: float
) -> tuple[int, int]:
    """How many calls of the task model and of the prompt model the optimizer makes at most.

    The formulas are those of DSPy 3.4's MIPROv2 and GEPA; repeated requests are answered from the kept ones, so that
    a run often takes fewer.
    """
    candidates, _ = SIZES[options.auto]
    free = 1 if options.stage else predictors
    trials = int(max(2 * free * (2 if options.max_demos else 1) * math.log2(candidates), 1.5 * candidates))
    runs, prompt_calls = _OPTIMIZERS[options.optimizer].expected(options, trials, free, train, validation)
    return math.ceil(runs * calls_per_run), prompt_calls


def _expected_of_gepa(options: OptimizeOptions, trials: int, free: int, train: int, validation: int) -> tuple[int, int]:
    candidates, _ = SIZES[options.auto]
    return validation + candidates * 5 + trials * 35 + (trials // 5 + 2) * validation, trials


def _expected_of_miprov2(
    options: OptimizeOptions, trials: int, free: int, train: int, validation: int
) -> tuple[int, int]:
    candidates, most = SIZES[options.auto]
    used = min(validation, most)
    runs = (trials + 1) * used if used <= 50 else 35 * trials + (trials // 5 + 2) * used
    bootstraps = (candidates - 2) * min(train, 2 * max(options.max_demos, 3))
    instructions = candidates // 2 if options.max_demos else candidates
    return runs + bootstraps, 3 * instructions * free + 2 + min(9, train // 10)


def _check(data: Data, options: OptimizeOptions) -> None:
    # Workaround (dspy 3.4): MIPROv2 replaces a seed of 0 by its default seed (`seed or self.seed`); remove when it
    # compares with None.
    if options.seed < 1:
        raise OptimizeError(f"a seed of {options.seed}: give one above 0, since DSPy takes 0 for none.")
    if not data.train or not data.validation:
        raise OptimizeError(f"{len(data.train)} examples to train and {len(data.validation)} to validate with.")
    _OPTIMIZERS[options.optimizer].check_installed()


def _check_optuna() -> None:
    if importlib.util.find_spec("optuna") is None:
        raise OptimizeError("MIPROv2 searches with optuna, which is not installed: pip install 't0dspy[retrain]'.")


@dataclass(frozen=True)
class _Functions:
    """The functions in which one optimizer differs from another."""

    search: Callable[..., None]
    """Takes the arguments of `_search`, the options included."""
    expected: Callable[[OptimizeOptions, int, int, int, int], tuple[int, int]]
    """(options, trials, predictors, train, validation) -> runs of the program, and calls of the prompt model."""
    check_installed: Callable[[], None]


_OPTIMIZERS: dict[Optimizer, _Functions] = {
    "miprov2": _Functions(_miprov2, _expected_of_miprov2, _check_optuna),
    "gepa": _Functions(_gepa, _expected_of_gepa, lambda: None),
}
