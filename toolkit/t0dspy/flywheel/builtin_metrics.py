"""The metrics that t0dspy ships, to use directly or as parts of a user's metric."""

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
    """Make a metric that returns 1.0 if the prediction has the example's values, else 0.0.

    Text is compared without surrounding blanks and without regard to case.

    Args:
        fields: the output fields to compare; by default every label of the example that is a field of the prediction.

    Returns:
        The metric. It raises MetricError if the example lacks one of the fields.
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
    """Make a metric that checks whether a prediction agrees with people's rating of the logged answer.

    It returns 1.0 for a prediction that equals an answer rated good or differs from one rated bad, 0.0 for the
    opposite,
    and `otherwise` if nobody rated the answer. This is weak evidence, for optimizing only, because the model's own
    answer
    is never the expected answer of the promotion test.

    Args:
        metric: a boolean metric of the config, or a float metric that is good from 0.5.
        fields: the output fields to compare; by default all fields of the logged answer.
        otherwise: the score without a rating.

    Returns:
        The metric.
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
    """Make a metric for a program of several predictors, in which the final output decides.

    A run whose final output fails scores 0, no matter how good its stages are. A run that passes scores the weighted
    mean of the final score and the stages' scores, so that the better of two passing programs wins.

    Args:
        final: a metric of the program's output.
        stages: predictor (its path, such as `plan.predict`, or the path's first part) -> a metric that is called with
            the example and that predictor's own prediction. All of its calls in the run have equal weight.
        weights: predictor -> weight, 1 by default; the weight of the final output is under `"final"`.
        threshold: the least score with which the final output passes.

    Returns:
        The metric. It raises MetricError if a run lacks one of the stages.

    Raises:
        MetricError: a weight names a stage that has no metric.
    """
    stages, weights = dict(stages or {}), dict(weights or {})
    unknown = weights.keys() - stages.keys() - {"final"}
    if unknown:
        raise MetricError(f"backward_grade: a weight for {min(unknown)!r}, which is not a stage of {sorted(stages)}.")

    def backward_grade(example: Any, prediction: Any, trace: Any = None) -> Any:
        final_score = as_score(_ask(final, example, prediction, trace), "final")
        if final_score.value < threshold:
            return dspy.Prediction(score=0.0, feedback=final_score.feedback)
        scores = {"final": final_score.value}
        for name, metric in stages.items():
            outputs = _outputs_of(name, current_trace() if trace is None else trace)
            scores[name] = sum(
                as_score(_ask(metric, example, outputs_of_stage, trace), name).value for outputs_of_stage in outputs
            ) / len(outputs)
        total = sum(weights.get(name, 1.0) for name in scores)
        mean = sum(weights.get(name, 1.0) * score for name, score in scores.items()) / total
        return dspy.Prediction(score=mean, feedback=final_score.feedback)

    return backward_grade


def _outputs_of(stage: str, trace: Sequence[Any] | None) -> list[Any]:
    steps = [(str(getattr(predictor, PATH, "")), outputs) for predictor, _, outputs in trace or ()]
    stage_outputs = [outputs for path, outputs in steps if path == stage or path.partition(".")[0] == stage]
    if not stage_outputs:
        ran = ", ".join(sorted({path or "a predictor without a path" for path, _ in steps})) or "none"
        raise MetricError(f"backward_grade: the run has no stage {stage!r}; it has {ran}.")
    return stage_outputs


def _ask(metric: MetricFunction, example: Any, prediction: Any, trace: Any) -> Any:
    return metric(*(example, prediction, trace)[: min(3, positionals(metric, "a part of backward_grade"))])


def _same(first: Any, second: Any) -> bool:
    if isinstance(first, str) and isinstance(second, str):
        return first.strip().casefold() == second.strip().casefold()
    return bool(first == second)
