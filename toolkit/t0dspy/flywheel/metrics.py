"""Load the user's metric and adapt it to the callers in DSPy.

A metric is `metric(example, prediction, trace=None)`, as everywhere in DSPy. It returns a bool, a number, or a
`dspy.Prediction(score=..., feedback=...)`. DSPy calls one function in three ways that need three kinds of value:
bootstrapping needs a bool (it tests for truth, so 0.01 would count as good), scoring needs a float, and GEPA needs a
score and a text. `Metric` wraps a user's function so that each caller gets its own kind.
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
"""The key of an example for people's ratings of the logged answer.

Metric -> value. DSPy shows no such key in a prompt.
"""

ANSWER = "dspy_answer"
"""The key for the logged answer: field -> value."""

COMMENTS = "dspy_comments"
"""The key for people's comments, oldest first."""

PATH = "t0dspy_path"
"""The attribute of a predictor that holds its path, for traces; copies of the program keep it."""

THRESHOLD = 0.5

_trace: ContextVar[Sequence[Any] | None] = ContextVar("t0dspy_trace", default=None)


@dataclass(frozen=True)
class Score:
    """A metric's result for one prediction."""

    value: float
    feedback: str = ""


def raise_message(count: int, of: int, example: str) -> str:
    """Return the message for a metric that raised for `count` of `of` runs.

    `example` describes one of its exceptions.
    """
    return f"the metric raised for {count} of {of} runs, such as: {example}"


class Metric:
    """A user's metric, callable like any metric in DSPy.

    With a trace (bootstrapping) it returns a bool, without one a float; `gepa` has the signature that `dspy.GEPA`
    needs.
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
            threshold: the least score that is good enough for a demo.
            name: by default the function's own name.
            gold: the program's setting, for advice about exceptions; None if it does not apply.
        """
        self.function, self.threshold, self.gold = function, threshold, gold
        self.name = name or str(getattr(function, "__name__", type(function).__name__))
        self.__name__ = self.name
        self._accepts = positionals(function, self.name)

    def __call__(self, example: Any, prediction: Any, trace: Any = None) -> float | bool:
        """Return the score; with a trace, return whether the score is good enough for a demo."""
        value = self.score(example, prediction, trace).value
        return value if trace is None else value >= self.threshold

    def gepa(
        self, gold: Any, pred: Any, trace: Any = None, pred_name: str | None = None, pred_trace: Any = None
    ) -> dspy.Prediction:
        """Return the score, with the metric's own text and people's comments on the example as `feedback`."""
        with expose_trace(current_trace() if trace is None else trace):
            score = self.score(gold, pred)
        return dspy.Prediction(score=score.value, feedback=feedback_text(gold, score))

    @property
    def source(self) -> str:
        """Return the text of the file that defines the function; empty if there is none."""
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
        """Return the score of one prediction; exceptions of the function itself are passed on.

        Raises:
            MetricError: the function returned something that is not a score.
        """
        return as_score(self.function(*(example, prediction, trace, None, None)[: self._accepts]), self.name)

    def explain(self, error: Exception, example: Any, prediction: Any) -> str:
        """Describe an exception of the metric, and what to do about it."""
        description = f"{type(error).__name__}: {str(error)[:300]}"
        return " ".join(filter(None, (description, advice(error, example, prediction, self.gold))))


def load_metric(reference: str, threshold: float = THRESHOLD, gold: Gold | None = None) -> Metric:
    """Load the metric at `reference`, such as `app.metrics:grade`, with the settings `threshold` and `gold`.

    Raises:
        MetricError: it does not exist, or it cannot be called as a metric.
    """
    try:
        function = import_attribute(reference)
    except ProgramError as error:
        raise MetricError(f"the metric {reference!r} cannot be loaded: {error}") from error
    if not callable(function):
        raise MetricError(f"the metric {reference!r} is a {type(function).__name__}, not a function.")
    if isinstance(function, Metric):
        return Metric(function.function, function.threshold, function.name, gold)
    return Metric(function, threshold, reference.rpartition(":")[2], gold)


def as_score(value: Any, name: str = "the metric") -> Score:
    """Return what a metric returned as a `Score`.

    Raises:
        MetricError: it is not a bool, a finite number, or a Prediction with a `score`.
    """
    feedback = ""
    if isinstance(value, dspy.Prediction | Mapping) and "score" in value:
        feedback = str(value["feedback"] or "") if "feedback" in value else ""
        value = value["score"]
    if not isinstance(value, int | float) and hasattr(value, "item"):
        value = value.item()  # numpy's scalar types
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise MetricError(
            f"the metric {name} returned {value!r:.80}; a metric returns a bool, a number, or "
            "dspy.Prediction(score=..., feedback=...)."
        )
    return Score(float(value), feedback)


def feedback_text(example: Any, score: Score) -> str:
    """Return the text for GEPA: the metric's own text, and people's comments on the logged answer."""
    texts = [score.feedback] if score.feedback else []
    comments = example.get(COMMENTS) or ()
    texts += [f"A user said of an earlier answer to this input: {comment}" for comment in comments]
    return "\n".join(texts) or f"This answer got a score of {score.value:g}."


def current_trace() -> Sequence[Any] | None:
    """Return the trace of the run that is being scored, which `expose_trace` set."""
    return _trace.get()


@contextmanager
def expose_trace(trace: Sequence[Any] | None) -> Iterator[None]:
    """Provide the trace of the scored run to metrics; passing it as an argument would mean bootstrapping."""
    token = _trace.set(trace)
    try:
        yield
    finally:
        _trace.reset(token)


def mark_paths(program: dspy.Module) -> None:
    """Store each predictor's path on the predictor, so that traces show it."""
    for path, predict in program.named_predictors():
        setattr(predict, PATH, path)


def positionals(function: MetricFunction, name: str) -> int:
    """Return how many of (example, prediction, trace, pred_name, pred_trace) the function takes by position."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # a builtin without a signature
        return 2
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return 5
    places = [
        parameter
        for parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    needed = sum(parameter.default is parameter.empty for parameter in places)
    if len(places) < 2 or needed > 5:
        raise MetricError(
            f"the metric {name} takes {len(places)} arguments; write metric(example, prediction, trace=None)."
        )
    return min(5, len(places))
