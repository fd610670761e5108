"""Run a program on examples and score every run; each kind of failure is counted separately."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import dspy
from dspy.utils.exceptions import AdapterParseError
from dspy.utils.parallelizer import ParallelExecutor

from t0dspy.errors import AnswerNotParsedError, GatewayError, MetricError, OptimizeError, ProgramRunError
from t0dspy.flywheel.metrics import Metric, expose_trace, raise_message
from t0dspy.flywheel.models.budget import Stop
from t0dspy.flywheel.models.counted_lm import is_lm_failure

Failure = Literal["answer", "program", "model", "metric"]

OWN: tuple[Failure, ...] = ("answer", "program")
"""Failures of the prompt or the program itself, which count as a score of 0."""

TOLERATED = 0.1
"""If the model or the metric fails for more than this share of runs, the whole evaluation fails."""


@dataclass(frozen=True)
class Scored:
    """One run of a program and its score."""

    score: float
    """0 if the run failed."""
    feedback: str = ""
    failure: Failure | None = None
    """`answer`: the answer cannot be parsed; `program`: the program raised; `model`: no answer; `metric`: it raised."""
    why: str = ""
    """A description of the failure."""
    prediction: Any = None
    inference: str | None = None
    """The inference of an answer without a prediction, if it was stored."""
    episode: str | None = None


Run = Callable[[Any], Any]
"""A function from an example to a prediction."""


def score_all(
    run: Run,
    examples: Sequence[Any],
    metric: Metric,
    *,
    threads: int = 8,
    done: Callable[[int], None] = lambda count: None,
) -> list[Scored]:
    """Call `run` for every example and score the predictions; no exception of a run is passed on, except `Stop`.

    Args:
        run: such as `lambda example: program(**example.inputs())`.
        examples: `dspy.Example`s.
        metric: the user's metric.
        threads: how many runs at once.
        done: called with the number of finished runs.

    Returns:
        One `Scored` per example, in order.

    Raises:
        Stop: the budget ended, or a model does not answer.
    """
    count = iter(range(1, len(examples) + 1))
    stops: list[Stop] = []

    def score_example(example: Any) -> Scored:
        if stops:
            return Scored(0.0, failure="model", why="stopped")
        try:
            scored = _score_run(run, example, metric)
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
    results: list[Scored] = executor.execute(score_example, list(examples))
    if stops:
        raise stops[0]
    return results


def program_run(program: dspy.Module) -> Run:
    """Return a run that calls `program` with an example's inputs."""
    return lambda example: program(**example.inputs())


def check_failures(scored: Sequence[Scored], label: str) -> None:
    """Check that quality, not failures, determined the scores.

    Args:
        scored: an evaluation.
        label: the name of the evaluation, for the error.

    Raises:
        MetricError: the metric raised for more than a tenth of the runs.
        OptimizeError: the model did not answer for more than a tenth of the runs, or every run failed.
    """
    failed = Counter(run.failure for run in scored if run.failure)
    for kind in ("metric", "model"):
        if failed[kind] > TOLERATED * len(scored):
            raise _failure_error(kind, failed[kind], scored, label)
    if scored and sum(failed[kind] for kind in OWN) == len(scored):
        raise OptimizeError(f"{label}: every one of {len(scored)} runs failed, the first with: {scored[0].why}")


def mean(scored: Sequence[Scored]) -> float:
    """Return the mean score; 0 for no runs."""
    return sum(run.score for run in scored) / len(scored) if scored else 0.0


def _score_run(run: Run, example: Any, metric: Metric) -> Scored:
    trace: list[Any] = []
    try:
        with dspy.context(trace=trace):
            prediction = run(example)
    except Exception as error:
        inference, episode = _ids(error)
        return Scored(0.0, failure=_failure(error), why=_describe(error), inference=inference, episode=episode)
    try:
        with expose_trace(trace):
            score = metric.score(example, prediction)
    except Exception as error:
        why = metric.explain(error, example, prediction)
        return Scored(0.0, failure="metric", why=why, prediction=prediction)
    return Scored(score.value, score.feedback, prediction=prediction)


def _failure(error: Exception) -> Failure:
    """Return the kind of failure of a run's exception, for both ways to run a program."""
    if isinstance(error, AdapterParseError | AnswerNotParsedError):
        return "answer"
    if isinstance(error, ProgramRunError):
        return "program"
    return "model" if is_lm_failure(error) or isinstance(error, GatewayError) else "program"


def _ids(error: Exception) -> tuple[str | None, str | None]:
    return (error.inference, error.episode) if isinstance(error, AnswerNotParsedError) else (None, None)


def _failure_error(kind: str, count: int, scored: Sequence[Scored], label: str) -> MetricError | OptimizeError:
    first = next(run.why for run in scored if run.failure == kind)
    if kind == "metric":
        return MetricError(f"{label}: {raise_message(count, len(scored), first)}")
    return OptimizeError(
        f"{label}: the model gave no answer for {count} of {len(scored)} runs, first with: {first} "
        "Scores made of failures decide nothing; try again when it answers."
    )


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error)[:300]}"
