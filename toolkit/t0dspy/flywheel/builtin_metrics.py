"""Metrics of ours, to use as they are or as parts of a user's metric."""

from collections.abc import Mapping, Sequence
from typing import Any

import dspy

from t0dspy.errors import MetricError
from t0dspy.flywheel.advice import NoLabelError
from t0dspy.flywheel.metrics import (
    ANSWER,
    FEEDBACK,
    PATH,
    THRESHOLD,
    MetricFunction,
    as_score,
    current_trace,
    positionals,
)


def exact_match(*fields: str) -> MetricFunction:
    """A metric: 1.0 when the prediction has the example's own values, else 0.0.

    Args:
        fields: the output fields that count; by default every label of the example that is a field of the prediction.
            Texts are compared without surrounding blanks and without regard to case.
    """

    def exact_match(example: Any, prediction: Any, trace: Any = None) -> float:
        names = fields or tuple(name for name in example.labels() if name in prediction)
        missing = [name for name in names if name not in example]
        if missing or not names:
            label = missing[0] if missing else next(iter(prediction.keys()), None)
            lacks = repr(missing[0]) if missing else "gold"
            raise NoLabelError(f"exact_match: the example has no {lacks}.", label)
        return float(all(_same(example[name], prediction.get(name)) for name in names))

    return exact_match


def agrees_with_feedback(metric: str, *fields: str, otherwise: float = THRESHOLD) -> MetricFunction:
    """A metric: does the prediction do as people's verdict on the logged answer asks?

    1.0 for what equals an answer rated good or differs from one rated bad, 0.0 for the opposite, `otherwise` where
    nobody rated. It is weak evidence, for optimizing: a model's own answer never is gold that a judge decides by.

    Args:
        metric: the boolean metric of the config, or a float one, good from 0.5.
        fields: the output fields that are compared; by default all of the logged answer.
        otherwise: the score where there is no verdict.
    """

    def agrees_with_feedback(example: Any, prediction: Any, trace: Any = None) -> float:
        verdict, answer = (example.get(FEEDBACK) or {}).get(metric), example.get(ANSWER)
        if verdict is None or not answer:
            return otherwise
        names = [name for name in fields or answer if name in prediction]
        same = all(_same(answer.get(name), prediction.get(name)) for name in names)
        return float(same == (verdict >= THRESHOLD))

    return agrees_with_feedback


def backward_grade(
    final: MetricFunction,
    *,
    stages: Mapping[str, MetricFunction] | None = None,
    weights: Mapping[str, float] | None = None,
    threshold: float = THRESHOLD,
) -> MetricFunction:
    """A metric for programs of several predictors: the final output decides, and stages add only when it passes.

    A run whose final output fails scores 0, however fine its stages look. One that passes scores the weighted mean of
    the final score and the stages' scores, so that of two programs that both pass the better one wins.

    Args:
        final: a metric of the program's output.
        stages: predictor (its path, such as `plan.predict`, or the path's first part) -> a metric that is given the
            example and that predictor's own prediction. All of its calls in the run count alike.
        weights: predictor -> weight, 1 by default; that of the final output is under `"final"`.
        threshold: what the final output needs to pass.
    """
    stages, weights = dict(stages or {}), dict(weights or {})
    unknown = weights.keys() - stages.keys() - {"final"}
    if unknown:
        raise MetricError(f"backward_grade: a weight for {min(unknown)!r}, which is no stage of {sorted(stages)}.")

    def backward_grade(example: Any, prediction: Any, trace: Any = None) -> Any:
        said = as_score(_ask(final, example, prediction, trace), "final")
        if said.value < threshold:
            return dspy.Prediction(score=0.0, feedback=said.feedback)
        scores = {"final": said.value}
        for name, metric in stages.items():
            outputs = _outputs_of(name, current_trace() if trace is None else trace)
            scores[name] = sum(as_score(_ask(metric, example, one, trace), name).value for one in outputs) / len(
                outputs
            )
        total = sum(weights.get(name, 1.0) for name in scores)
        mean = sum(weights.get(name, 1.0) * score for name, score in scores.items()) / total
        return dspy.Prediction(score=mean, feedback=said.feedback)

    return backward_grade


def _outputs_of(stage: str, trace: Sequence[Any] | None) -> list[Any]:
    steps = [(str(getattr(predictor, PATH, "")), outputs) for predictor, _, outputs in trace or ()]
    found = [outputs for path, outputs in steps if path == stage or path.partition(".")[0] == stage]
    if not found:
        ran = ", ".join(sorted({path or "a predictor without a path" for path, _ in steps})) or "none"
        raise MetricError(f"backward_grade: the run has no stage {stage!r}; it has {ran}.")
    return found


def _ask(metric: MetricFunction, example: Any, prediction: Any, trace: Any) -> Any:
    return metric(*(example, prediction, trace)[: min(3, positionals(metric, "a part of backward_grade"))])


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return one.strip().casefold() == other.strip().casefold()
    return bool(one == other)
