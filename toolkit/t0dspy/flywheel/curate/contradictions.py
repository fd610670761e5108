"""Drop the inputs that people disagree about, because nothing can be learned from them."""

from collections.abc import Iterator, Mapping, Set

from t0dspy.flywheel.curate.identity import fields_digest, outputs_digest
from t0dspy.flywheel.curate.options import CurateOptions
from t0dspy.flywheel.curate.raters import correctors, ratings
from t0dspy.flywheel.curate.step import Examples, StepResult, grouped, sieve
from t0dspy.flywheel.curate.votes import Rater, eligible_raters, losing_sides, support
from t0dspy.flywheel.example import PulledExample

Vote = tuple[str, bool]
"""A metric, and whether its rating is in favor of the answer."""

OUTVOTED = "contradiction: other raters corrected it otherwise"
DIFFERENT = "contradiction: different demonstrations of one input"
OPPOSITE = "contradiction: opposite ratings of one answer"


def drop_contradictions(examples: Examples, options: CurateOptions) -> StepResult:
    """Drop examples of one input with different demonstrations, and answers with opposite ratings.

    Each rater has one vote per answer, no matter how often they rate it; `votes.losing_sides` describes the rule. If
    the
    vote is clear, only the examples on the losing side are dropped. An example with a demonstration is kept no matter
    how
    the model's answer was rated.
    """
    reasons: dict[int, str] = {}
    for same_input in grouped(examples, lambda example: fields_digest(example.inputs, options.ignore)).values():
        if len(same_input) > 1 or len(same_input[0].feedback) > 1:
            reasons |= _reasons(same_input, options)
    return sieve(examples, lambda example: reasons.get(id(example)))


def _reasons(same_input: Examples, options: CurateOptions) -> dict[int, str]:
    reasons = _wrong_corrections(same_input, options)
    for same_answer in grouped(same_input, lambda example: outputs_digest(example.model_outputs)).values():
        wrong = _lost_votes(same_answer, options)
        for example in same_answer:
            if not example.demonstration and wrong & set(votes(example, options.floor)):
                reasons[id(example)] = OPPOSITE
    return reasons


def votes(example: PulledExample, floor: Mapping[str, float]) -> Iterator[Vote]:
    """Yield each rating of the model's answer as a vote: booleans by value, numbers by whether they reach the floor."""
    for metric, value in example.metrics.items():
        speaks = vote(metric, value, floor)
        if speaks is not None:
            yield metric, speaks


def vote(metric: str, value: bool | float, floor: Mapping[str, float]) -> bool | None:
    """Return whether a rating is in favor of the answer; None if it is neither for nor against it."""
    if metric in floor:
        return value >= floor[metric]
    return value if isinstance(value, bool) else None


def _wrong_corrections(same_input: Examples, options: CurateOptions) -> dict[int, str]:
    """Return the reasons for the examples whose correction lost against another correction of the same input."""
    given: list[tuple[Rater, str | None]] = []
    for example in same_input:
        for rater, correction in correctors(example, options):
            given.append((rater, outputs_digest(correction.value if correction else example.outputs)))
    chosen = eligible_raters({rater for rater, _ in given}, options.trusted_raters)
    sides = support((rater, side) for rater, side in given if rater in chosen)
    others = {side for _, side in given} - sides.keys()
    wrong = (losing_sides(sides, options.tolerance) if len(sides) > 1 else set()) | others
    reason = DIFFERENT if wrong >= sides.keys() else OUTVOTED
    return {
        id(example): reason
        for example in same_input
        if example.demonstration and outputs_digest(example.outputs) in wrong
    }


def _lost_votes(same_answer: Examples, options: CurateOptions) -> Set[Vote]:
    """Return, for each metric, the side that few raters are on; both sides if neither is clearly smaller."""
    given: dict[str, list[tuple[Rater, Vote, bool]]] = {}
    for example in same_answer:
        caller = example.tags.get(options.user_tag) or None
        for rater, metric, value in ratings(example, options):
            speaks = vote(metric, value, options.floor)
            if speaks is not None:
                given.setdefault(metric, []).append((rater, (metric, speaks), rater == caller))
    wrong: set[Vote] = set()
    for cast in given.values():
        chosen = eligible_raters({rater for rater, _, _ in cast}, options.trusted_raters)
        sides = support((rater, side) for rater, side, _ in cast if rater in chosen)
        wrong |= losing_sides(sides, options.tolerance, {side for _, side, is_caller in cast if is_caller})
        wrong |= {side for _, side, _ in cast} - sides.keys()
    return wrong
