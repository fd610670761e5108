"""Decide whose ratings and corrections of an example count."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from t0dspy.flywheel.curate.identity import outputs_digest
from t0dspy.flywheel.curate.options import CurateOptions
from t0dspy.flywheel.curate.step import Examples, StepResult
from t0dspy.flywheel.curate.votes import Rater, agreed_value, eligible_raters
from t0dspy.flywheel.example import Feedback, PulledExample

CORRECTION = "demonstration"
COMMENT = "comment"
_TEXTS = (CORRECTION, COMMENT)


def weigh_votes(examples: Examples, options: CurateOptions) -> StepResult:
    """Replace each example's latest feedback by what most raters said, with one vote per rater.

    The value of a metric becomes the median of its raters' latest values. Of the corrections and comments that
    `options.corrections` permits, the correction that most raters gave counts, and each rater's latest comment. If no
    permitted correction is left, the model's own answer is used again.
    """
    changed = Counter[str]()
    return StepResult(
        [_weigh(example, example.tags.get(options.user_tag), options, changed) for example in examples], {}, changed
    )


def ratings(example: PulledExample, options: CurateOptions) -> Iterator[tuple[Rater, str, bool | float]]:
    """Yield each rating as (rater, metric, value); without known raters, all ratings are attributed to the user."""
    rated = [rating for rating in example.feedback if rating.metric not in (CORRECTION, COMMENT)]
    for rating in rated:
        yield rating.rater, rating.metric, rating.value
    if not rated:
        user = example.tags.get(options.user_tag) or None
        yield from ((user, metric, value) for metric, value in example.metrics.items())


def correctors(example: PulledExample, options: CurateOptions) -> list[tuple[Rater, Feedback | None]]:
    """Return each correction with its rater.

    Without known raters, the user counts as the corrector, without details.
    """
    corrections: list[tuple[Rater, Feedback | None]] = [
        (feedback.rater, feedback)
        for feedback in example.feedback
        if feedback.metric == CORRECTION and example.demonstration
    ]
    if not corrections and example.demonstration:
        return [(example.tags.get(options.user_tag) or None, None)]
    return corrections


def is_vouched_for(example: PulledExample, options: CurateOptions) -> bool:
    """Return whether a trusted rater corrected the example, or rated it without finding a fault."""
    relevant = [
        feedback
        for feedback in example.feedback
        if feedback.rater in options.trusted_raters and feedback.metric != COMMENT
    ]
    corrected = any(feedback.metric == CORRECTION for feedback in relevant)
    return corrected or (bool(relevant) and not any(_is_bad(feedback, options) for feedback in relevant))


def _is_bad(rating: Feedback, options: CurateOptions) -> bool:
    return rating.value < options.floor[rating.metric] if rating.metric in options.floor else rating.value is False


def sole_rater(example: PulledExample, exempt: Sequence[str] = ()) -> str | None:
    """Return the only rater of the example.

    None if there are several, if nobody is known, or if the rater is in `exempt`.
    """
    relevant = [feedback for feedback in example.feedback if feedback.metric != COMMENT]
    raters = {feedback.rater for feedback in relevant if feedback.metric == CORRECTION or not example.demonstration}
    (rater,) = raters if len(raters) == 1 else (None,)
    return None if rater in exempt else rater


def _weigh(example: PulledExample, caller: str | None, options: CurateOptions, changed: Counter[str]) -> PulledExample:
    stages = tuple(_weigh(stage, caller, options, changed) for stage in example.stages)
    if not example.feedback:
        return replace(example, stages=stages) if stages else example
    refused = [
        feedback
        for feedback in example.feedback
        if feedback.metric in _TEXTS and not _may_correct(feedback, caller, options)
    ]
    counting = tuple(feedback for feedback in example.feedback if feedback not in refused)
    correction = _correction([feedback for feedback in counting if feedback.metric == CORRECTION], options)
    metrics = {name: _agreed_value(name, counting, caller, options) for name in example.metrics}
    for feedback in refused:
        name = "correction" if feedback.metric == CORRECTION else "comment"
        changed[f"{name} left out: its rater is neither the caller nor trusted"] += 1
    if metrics != dict(example.metrics):
        changed["rating left out: most raters say otherwise"] += 1
    return replace(
        example,
        outputs=correction.value if correction else example.model_outputs,
        demonstration=correction is not None,
        metrics=metrics,
        comments=list({feedback.rater: feedback.value for feedback in counting if feedback.metric == COMMENT}.values()),
        feedback=counting,
        stages=stages,
    )


def _correction(corrections: Sequence[Feedback], options: CurateOptions) -> Feedback | None:
    """Return the correction that most raters gave; of several with equally many raters, the latest."""
    chosen = eligible_raters({correction.rater for correction in corrections}, options.trusted_raters)
    given = [correction for correction in corrections if correction.rater in chosen]
    number = Counter(outputs_digest(correction.value) for correction in given)
    return max(
        given, key=lambda correction: (number[outputs_digest(correction.value)], correction.feedback_id), default=None
    )


def _may_correct(feedback: Feedback, caller: str | None, options: CurateOptions) -> bool:
    if options.corrections == "anyone" or feedback.rater in options.trusted_raters:
        return True
    return options.corrections == "caller" and feedback.rater == (caller or None)


def _agreed_value(
    metric: str, counting: Sequence[Feedback], caller: str | None, options: CurateOptions
) -> bool | float:
    values = {rating.rater: rating.value for rating in counting if rating.metric == metric}
    chosen = eligible_raters(values, options.trusted_raters)
    callers = values.get(caller or None) if (caller or None) in chosen else None
    return agreed_value([values[rater] for rater in chosen], callers)
