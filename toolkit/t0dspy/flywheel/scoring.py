"""Run a program over examples and score every run; failures are told apart, never swallowed."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import dspy
from dspy.utils.exceptions import AdapterParseError
from dspy.utils.parallelizer import ParallelExecutor

from t0dspy.errors import AnswerNotParsedError, GatewayError, MetricError, OptimizeError, ProgramRunError
from t0dspy.flywheel.metrics import Metric, raised, traced
from t0dspy.flywheel.models.budget import Stop
from t0dspy.flywheel.models.counted_lm import is_lm_failure

Failure = Literal["answer", "program", "model", "metric"]

OWN: tuple[Failure, ...] = ("answer", "program")
"""Failures of the prompt or the program itself, which count as a score of 0."""

TOLERATED = 0.1
"""The share of runs whose model or metric may fail before the whole evaluation is an error."""


@dataclass(frozen=True)
class Scored:
    """One run of a program and its score."""

    score: float
    """0 where the run failed."""
    feedback: str = ""
    failure: Failure | None = None
    """`answer`: the model's answer did not parse; `program`: the program's code raised; `model`: no answer came;
    `metric`: the metric raised."""
    why: str = ""
    """What a failure said."""
    prediction: Any = None
    inference: str | None = None
    """The inference that an answer without a prediction was stored as, where there is one."""
    episode: str | None = None


Run = Callable[[Any], Any]
"""An example in, a prediction out."""


def score_all(
    run: Run,
    examples: Sequence[Any],
    metric: Metric,
    *,
    threads: int = 8,
    done: Callable[[int], None] = lambda count: None,
) -> list[Scored]:
    """Run `run` on every example and score what it gives; nothing that a run raises goes through, except `Stop`.

    Args:
        run: such as `lambda example: program(**example.inputs())`.
        examples: `dspy.Example`s.
        metric: the user's.
        threads: how many runs at once.
        done: called with the number of runs that are over.

    Returns:
        One `Scored` for each example, in order.

    Raises:
        Stop: the budget ended, or a model will not answer whatever is asked.
    """
    count = iter(range(1, len(examples) + 1))
    stops: list[Stop] = []

    def one(example: Any) -> Scored:
        if stops:
            return Scored(0.0, failure="model", why="stopped")
        try:
            scored = _scored(run, example, metric)
        # Workaround (dspy 3.4): ParallelExecutor leaves other runs behind when one raises, so `Stop` is raised after
        # all runs have ended; remove when it waits for them.
        except Stop as stop:
            stops.append(stop)
            return Scored(0.0, failure="model", why=str(stop))
        done(next(count))
        return scored

    # Workaround (dspy 3.4): ParallelExecutor submits the last slow runs a second time after 120 s, so they would be
    # counted twice; remove when the default of `timeout` is off. See stanfordnlp/dspy#9574.
    executor = ParallelExecutor(num_threads=threads, max_errors=len(examples) + 1, disable_progress_bar=True, timeout=0)
    found: list[Scored] = executor.execute(one, list(examples))
    if stops:
        raise stops[0]
    return found


def program_run(program: dspy.Module) -> Run:
    """The run that calls `program` with an example's inputs."""
    return lambda example: program(**example.inputs())


def check_failures(scored: Sequence[Scored], what: str) -> None:
    """Raise where failures, not quality, decided the scores.

    Args:
        scored: an evaluation.
        what: whose, for the error.

    Raises:
        MetricError: the metric raised for more than a tenth of the runs.
        OptimizeError: the model did not answer for more than a tenth, or no run at all came to an end.
    """
    failed = Counter(one.failure for one in scored if one.failure)
    for kind in ("metric", "model"):
        if failed[kind] > TOLERATED * len(scored):
            raise _failed(kind, failed[kind], scored, what)
    if scored and sum(failed[kind] for kind in OWN) == len(scored):
        raise OptimizeError(f"{what}: every one of {len(scored)} runs failed, the first with: {scored[0].why}")


def mean(scored: Sequence[Scored]) -> float:
    """The mean score; 0 for no runs."""
    return sum(one.score for one in scored) / len(scored) if scored else 0.0


def _scored(run: Run, example: Any, metric: Metric) -> Scored:
    trace: list[Any] = []
    try:
        with dspy.context(trace=trace):
            prediction = run(example)
    except Exception as error:
        inference, episode = _ids(error)
        return Scored(0.0, failure=_failure(error), why=_said(error), inference=inference, episode=episode)
    try:
        with traced(trace):
            score = metric.score(example, prediction)
    except Exception as error:
        why = metric.explained(error, example, prediction)
        return Scored(0.0, failure="metric", why=why, prediction=prediction)
    return Scored(score.value, score.feedback, prediction=prediction)


def _failure(error: Exception) -> Failure:
    """The kind of failure that the exception of a run is, whichever way the program was run."""
    if isinstance(error, AdapterParseError | AnswerNotParsedError):
        return "answer"
    if isinstance(error, ProgramRunError):
        return "program"
    return "model" if is_lm_failure(error) or isinstance(error, GatewayError) else "program"


def _ids(error: Exception) -> tuple[str | None, str | None]:
    return (error.inference, error.episode) if isinstance(error, AnswerNotParsedError) else (None, None)


def _failed(kind: str, count: int, scored: Sequence[Scored], what: str) -> MetricError | OptimizeError:
    first = next(one.why for one in scored if one.failure == kind)
    if kind == "metric":
        return MetricError(f"{what}: {raised(count, len(scored), first)}")
    return OptimizeError(
        f"{what}: the model gave no answer for {count} of {len(scored)} runs, first with: {first} "
        "Scores made of failures decide nothing; try again when it answers."
    )


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error)[:300]}"
