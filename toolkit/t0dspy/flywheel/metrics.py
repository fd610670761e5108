"""Metrics: the user's function in DSPy's conventions, and parts to make one of.

A metric is `metric(example, prediction, trace=None)`, as anywhere in DSPy; it gives a bool, a number, or a
`dspy.Prediction(score=..., feedback=...)`. DSPy uses one function in three ways that want three kinds of value:
bootstrapping wants a bool (it tests for truth, so that 0.01 counts as good), scoring a float, GEPA a score and a text.
`Metric` wraps a user's function so that each gets its own kind.
"""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

import dspy

from t0dspy.errors import MetricError, ProgramError
from t0dspy.flywheel.advice import advice
from t0dspy.program.load import import_attribute
from t0dspy.settings import Gold

MetricFunction = Callable[..., Any]

FEEDBACK = "dspy_feedback"
"""Where an example keeps what people said of the logged answer: metric -> value. DSPy shows no prompt such a key."""

ANSWER = "dspy_answer"
"""Where it keeps the logged answer itself: field -> value."""

COMMENTS = "dspy_comments"
"""Where it keeps people's comments, oldest first."""

PATH = "t0dspy_path"
"""The attribute by which a predictor in a trace says its path; copies of the program keep it."""

THRESHOLD = 0.5

_trace: ContextVar[Sequence[Any] | None] = ContextVar("t0dspy_trace", default=None)


@dataclass(frozen=True)
class Score:
    """What a metric says of one prediction."""

    value: float
    feedback: str = ""


def raised(count: int, of: int, said: str) -> str:
    """Return the message for a metric that raised for `count` of `of` runs; `said` describes one of its exceptions."""
    return f"the metric raised for {count} of {of} runs, such as: {said}"


class Metric:
    """A user's metric as every caller in DSPy wants it: call it like any metric.

    With a trace (bootstrapping) it gives a bool, without one a float; `gepa` is the same as `dspy.GEPA` wants it.
    """

    def __init__(
        self,
        function: MetricFunction,
        threshold: float = THRESHOLD,
        name: str | None = None,
        gold: Gold | None = None,
    ) -> None:
        """Wrap `function`.

        Args:
            function: the user's metric.
            threshold: a number of at least this is good enough for a demo.
            name: by default the function's own.
            gold: the program's setting, for advice on exceptions; None where it does not apply.
        """
        self.function, self.threshold, self.gold = function, threshold, gold
        self.name = name or str(getattr(function, "__name__", type(function).__name__))
        self.__name__ = self.name
        self._accepts = positionals(function, self.name)

    def __call__(self, example: Any, prediction: Any, trace: Any = None) -> float | bool:
        """Whether the run is good enough for a demo where there is a trace, else the score."""
        value = self.score(example, prediction, trace).value
        return value if trace is None else value >= self.threshold

    def gepa(
        self, gold: Any, pred: Any, trace: Any = None, pred_name: str | None = None, pred_trace: Any = None
    ) -> dspy.Prediction:
        """The score, and in `feedback` the metric's own words and people's comments on the example."""
        with traced(current_trace() if trace is None else trace):
            score = self.score(gold, pred)
        return dspy.Prediction(score=score.value, feedback=feedback_text(gold, score))

    @property
    def source(self) -> str:
        """The text of the file that the function is written in; empty where there is none."""
        function = inspect.unwrap(self.function)
        while isinstance(function, partial):
            function = inspect.unwrap(function.func)
        home = inspect.getmodule(function if inspect.isroutine(function) else type(function))
        try:
            return inspect.getsource(home) if home else ""
        except (OSError, TypeError):
            return ""

    def __deepcopy__(self, memo: dict[int, Any]) -> "Metric":
        return self

    def score(self, example: Any, prediction: Any, trace: Any = None) -> Score:
        """The score of one prediction; whatever the function itself raises goes through.

        Raises:
            MetricError: it gave something that is no score.
        """
        return as_score(self.function(*(example, prediction, trace, None, None)[: self._accepts]), self.name)

    def explained(self, error: Exception, example: Any, prediction: Any) -> str:
        """Return what an exception of the metric said, and what to do about it."""
        said = f"{type(error).__name__}: {str(error)[:300]}"
        return " ".join(filter(None, (said, advice(error, example, prediction, self.gold))))


def load_metric(reference: str, threshold: float = THRESHOLD, gold: Gold | None = None) -> Metric:
    """Return the metric at `reference`, such as `app.metrics:grade`, with the settings `threshold` and `gold`.

    Raises:
        MetricError: there is none, or it cannot be called as a metric.
    """
    try:
        found = import_attribute(reference)
    except ProgramError as error:
        raise MetricError(f"the metric {reference!r} cannot be loaded: {error}") from error
    if not callable(found):
        raise MetricError(f"the metric {reference!r} is a {type(found).__name__}, not a function.")
    if isinstance(found, Metric):
        return Metric(found.function, found.threshold, found.name, gold)
    return Metric(found, threshold, reference.rpartition(":")[2], gold)


def as_score(value: Any, name: str = "the metric") -> Score:
    """What a metric gave, as a `Score`.

    Raises:
        MetricError: it is no bool, finite number, or Prediction with a `score`.
    """
    feedback = ""
    if isinstance(value, dspy.Prediction | Mapping) and "score" in value:
        feedback = str(value["feedback"] or "") if "feedback" in value else ""
        value = value["score"]
    if not isinstance(value, int | float) and hasattr(value, "item"):
        value = value.item()  # numpy's own kinds of numbers
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise MetricError(
            f"the metric {name} gave {value!r:.80}; a metric gives a bool, a number, or "
            "dspy.Prediction(score=..., feedback=...)."
        )
    return Score(float(value), feedback)


def feedback_text(example: Any, score: Score) -> str:
    """What GEPA is told of a prediction: the metric's own words, and what people said of the logged answer."""
    said = [score.feedback] if score.feedback else []
    comments = example.get(COMMENTS) or ()
    said += [f"A user said of an earlier answer to this input: {comment}" for comment in comments]
    return "\n".join(said) or f"This answer got a score of {score.value:g}."


def current_trace() -> Sequence[Any] | None:
    """Return the trace of the run that is scored now, as `traced` set it."""
    return _trace.get()


@contextmanager
def traced(trace: Sequence[Any] | None) -> Iterator[None]:
    """Let metrics see the trace of a run that is scored: as an argument it would mean bootstrapping."""
    token = _trace.set(trace)
    try:
        yield
    finally:
        _trace.reset(token)


def mark_paths(program: dspy.Module) -> None:
    """Have each predictor of `program` say its path wherever a trace shows it."""
    for path, predict in program.named_predictors():
        setattr(predict, PATH, path)


def positionals(function: MetricFunction, name: str) -> int:
    """How many of (example, prediction, trace, pred_name, pred_trace) the function takes by position."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # a builtin without a signature
        return 2
    if any(one.kind is one.VAR_POSITIONAL for one in parameters):
        return 5
    places = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    needed = sum(one.default is one.empty for one in places)
    if len(places) < 2 or needed > 5:
        raise MetricError(
            f"the metric {name} takes {len(places)} arguments; write metric(example, prediction, trace=None)."
        )
    return min(5, len(places))
