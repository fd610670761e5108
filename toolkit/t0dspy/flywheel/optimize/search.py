"""Run one of DSPy's optimizers on a copy of the incumbent. `OPTIMIZERS` has one entry per optimizer."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec

import dspy

from t0dspy.errors import OptimizeError, T0dspyError
from t0dspy.flywheel.models.budget import Ledger
from t0dspy.flywheel.optimize.candidates import DemoSets, Sealed
from t0dspy.flywheel.optimize.gate import Gate, Sources
from t0dspy.flywheel.optimize.options import SIZES, OptimizeOptions, Optimizer
from t0dspy.flywheel.optimize.proposals import Proposals
from t0dspy.flywheel.optimize.trials import Trials


@dataclass(frozen=True)
class Data:
    """The data that an optimizer may use, without the holdout."""

    train: Sequence[dspy.Example]
    validation: Sequence[dspy.Example]
    demos: DemoSets = field(default_factory=dict)
    """Sets of demos from production to try."""
    sealed: Sealed = field(default_factory=lambda: Sealed(()))
    gate: Gate = field(default_factory=Gate)
    """Refuses text that may not enter a prompt."""
    sources: Sources = field(default_factory=Sources)
    """Records the source example of each bootstrapped demo; the search fills it."""


@dataclass(frozen=True)
class Models:
    """`task` runs the program, `prompt` writes instructions, and `ledger` counts the calls of both."""

    task: dspy.LM
    prompt: dspy.LM
    ledger: Ledger


@dataclass(frozen=True)
class Search:
    """One run of an optimizer."""

    student: dspy.Module
    """The copy of the incumbent that the optimizer changes."""
    data: Data
    models: Models
    options: OptimizeOptions
    trials: Trials
    """Evaluates the candidates, and holds the best one."""
    only: int | None
    """The index of the one predictor to optimize; None for all."""
    proposals: Proposals
    progress: Callable[[str], None]


def search(run: Search) -> None:
    """Run the optimizer that the options name; the candidates that it finds are in `run.trials`.

    Raises:
        Stop: the budget ended, a model or the metric fails, or nothing can be proposed.
        OptimizeError: the optimizer failed.
    """
    optimizer = run.options.optimizer
    try:
        OPTIMIZERS[optimizer].run(run)
    except T0dspyError:
        raise
    except Exception as error:
        raise OptimizeError(f"{optimizer} failed: {type(error).__name__}: {str(error)[:500]}") from error


def _run_miprov2(run: Search) -> None:
    from t0dspy.flywheel.optimize.mipro import Recompiler

    teacher = run.student.deepcopy()
    # Workaround (dspy 3.4): BootstrapFewShot replaces the demos of a teacher that is not marked as compiled; remove
    # when it keeps them.
    teacher._compiled = True
    optimizer = Recompiler(
        metric=run.data.sources.watch(run.trials.metric),
        prompt_model=run.models.prompt,
        task_model=run.models.task,
        auto=run.options.auto,
        seed=run.options.seed,
        num_threads=run.options.threads,
        max_bootstrapped_demos=run.options.max_demos,
        max_labeled_demos=run.options.max_demos,
        track_stats=False,
        trials=run.trials,
        demos=run.data.demos,
        sealed=run.data.sealed,
        proposals=run.proposals,
        gate=run.data.gate,
        only=run.only,
        progress=run.progress,
    )
    optimizer.compile(run.student, trainset=list(run.data.train), valset=run.trials.validation, teacher=teacher)


def _run_gepa(run: Search) -> None:
    from t0dspy.flywheel.optimize.gepa import run_gepa

    run_gepa(
        run.student,
        run.data.train,
        run.trials,
        gate=run.data.gate,
        prompt_model=run.models.prompt,
        auto=run.options.auto,
        seed=run.options.seed,
        only=None if run.only is None else run.student.named_predictors()[run.only][0],
        proposals=run.proposals,
        progress=run.progress,
    )


def expected_calls(
    options: OptimizeOptions, *, predictors: int, train: int, validation: int, calls_per_run: float
) -> tuple[int, int]:
    """Return the most calls of the task model and of the prompt model that the optimizer makes.

    The formulas are those of DSPy 3.4's MIPROv2 and GEPA. Repeated requests are answered from the stored answers, so a
    run often takes fewer calls.
    """
    candidates, _ = SIZES[options.auto]
    free = 1 if options.stage else predictors
    trials = int(max(2 * free * (2 if options.max_demos else 1) * math.log2(candidates), 1.5 * candidates))
    runs, prompt_calls = OPTIMIZERS[options.optimizer].expected(options, trials, free, train, validation)
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


def _check_optuna() -> None:
    if find_spec("optuna") is None:
        raise OptimizeError("MIPROv2 searches with optuna, which is not installed: pip install 't0dspy[retrain]'.")


@dataclass(frozen=True)
class _Functions:
    """The functions of one optimizer."""

    run: Callable[[Search], None]
    expected: Callable[[OptimizeOptions, int, int, int, int], tuple[int, int]]
    """(options, trials, predictors, train, validation) -> runs of the program, and calls of the prompt model."""
    check_installed: Callable[[], None]


OPTIMIZERS: dict[Optimizer, _Functions] = {
    "miprov2": _Functions(_run_miprov2, _expected_of_miprov2, _check_optuna),
    "gepa": _Functions(_run_gepa, _expected_of_gepa, lambda: None),
}
