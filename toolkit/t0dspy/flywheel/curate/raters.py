"""Who rated and corrected an example, and what of it counts."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from t0dspy.flywheel.curate.identity import outputs_digest
from t0dspy.flywheel.curate.options import CurateOptions
from t0dspy.flywheel.curate.step import Examples, Sieved
from t0dspy.flywheel.curate.votes import Rater, agreed_value, counted
from t0dspy.flywheel.example import PulledExample, Said

CORRECTION = "demonstration"
COMMENT = "comment"
_TEXTS = (CORRECTION, COMMENT)


def weighed(examples: Examples, options: CurateOptions) -> Sieved:
    """Put in place of what was said last what counts: every rater once, and corrections of those who may correct.

    The value of a metric is the median of its raters' latest values. Of the corrections and comments that
    `options.corrections` permits, the correction of most raters counts, and each rater's latest comment. Where there is
    no such correction, the model's own answer stands again.
    """
    changed = Counter[str]()
    return Sieved([_weighed(one, one.tags.get(options.user_tag), options, changed) for one in examples], {}, changed)


def ratings(example: PulledExample, options: CurateOptions) -> Iterator[tuple[Rater, str, bool | float]]:
    """Return each rating as (rater, metric, value); of an example without raters, its user rated all of it."""
    rated = [one for one in example.feedback if one.metric not in (CORRECTION, COMMENT)]
    for one in rated:
        yield one.rater, one.metric, one.value
    if not rated:
        user = example.tags.get(options.user_tag) or None
        yield from ((user, metric, value) for metric, value in example.metrics.items())


def correctors(example: PulledExample, options: CurateOptions) -> list[tuple[Rater, Said | None]]:
    """Return each correction with its rater; of an example without raters, its user corrected it, without details."""
    found: list[tuple[Rater, Said | None]] = [
        (one.rater, one) for one in example.feedback if one.metric == CORRECTION and example.demonstration
    ]
    if not found and example.demonstration:
        return [(example.tags.get(options.user_tag) or None, None)]
    return found


def vouched(example: PulledExample, options: CurateOptions) -> bool:
    """Return whether a trusted rater corrected the example, or rated it and found nothing wrong."""
    said = [one for one in example.feedback if one.rater in options.trusted_raters and one.metric != COMMENT]
    corrected = any(one.metric == CORRECTION for one in said)
    return corrected or (bool(said) and not any(_is_bad(one, options) for one in said))


def _is_bad(said: Said, options: CurateOptions) -> bool:
    return said.value < options.floor[said.metric] if said.metric in options.floor else said.value is False


def sole_rater(example: PulledExample, exempt: Sequence[str] = ()) -> str | None:
    """Return the rater on whose word alone the example rests; None for several, for nobody known, and for `exempt`."""
    said = [one for one in example.feedback if one.metric != COMMENT]
    raters = {one.rater for one in said if one.metric == CORRECTION or not example.demonstration}
    (rater,) = raters if len(raters) == 1 else (None,)
    return None if rater in exempt else rater


def _weighed(one: PulledExample, caller: str | None, options: CurateOptions, changed: Counter[str]) -> PulledExample:
    stages = tuple(_weighed(stage, caller, options, changed) for stage in one.stages)
    if not one.feedback:
        return replace(one, stages=stages) if stages else one
    refused = [said for said in one.feedback if said.metric in _TEXTS and not _may_correct(said, caller, options)]
    heard = tuple(said for said in one.feedback if said not in refused)
    correction = _correction([said for said in heard if said.metric == CORRECTION], options)
    metrics = {name: _agreed(name, heard, caller, options) for name in one.metrics}
    for said in refused:
        name = "correction" if said.metric == CORRECTION else "comment"
        changed[f"{name} left out: its rater is neither the caller nor trusted"] += 1
    if metrics != dict(one.metrics):
        changed["rating left out: most raters say otherwise"] += 1
    return replace(
        one,
        outputs=correction.value if correction else one.model_outputs,
        demonstration=correction is not None,
        metrics=metrics,
        comments=list({said.rater: said.value for said in heard if said.metric == COMMENT}.values()),
        feedback=heard,
        stages=stages,
    )


def _correction(corrections: Sequence[Said], options: CurateOptions) -> Said | None:
    """The correction that most raters gave, the latest of those with equally many."""
    chosen = counted({said.rater for said in corrections}, options.trusted_raters)
    given = [said for said in corrections if said.rater in chosen]
    number = Counter(outputs_digest(said.value) for said in given)
    return max(given, key=lambda said: (number[outputs_digest(said.value)], said.feedback_id), default=None)


def _may_correct(said: Said, caller: str | None, options: CurateOptions) -> bool:
    if options.corrections == "anyone" or said.rater in options.trusted_raters:
        return True
    return options.corrections == "caller" and said.rater == (caller or None)


def _agreed(metric: str, heard: Sequence[Said], caller: str | None, options: CurateOptions) -> bool | float:
    values = {said.rater: said.value for said in heard if said.metric == metric}
    chosen = counted(values, options.trusted_raters)
    callers = values.get(caller or None) if (caller or None) in chosen else None
    return agreed_value([values[rater] for rater in chosen], callers)
