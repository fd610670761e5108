"""Inputs about which people disagree: nothing can be learned from them but noise."""

from collections.abc import Iterator, Mapping, Set

from t0dspy.flywheel.curate.identity import fields_digest, outputs_digest
from t0dspy.flywheel.curate.options import CurateOptions
from t0dspy.flywheel.curate.raters import correctors, ratings
from t0dspy.flywheel.curate.step import Examples, Sieved, grouped, sieve
from t0dspy.flywheel.curate.votes import Rater, counted, lost, support
from t0dspy.flywheel.example import PulledExample

Vote = tuple[str, bool]
"""A metric, and whether it spoke for the answer."""

OUTVOTED = "contradiction: other raters corrected it otherwise"
DIFFERENT = "contradiction: different demonstrations of one input"
OPPOSITE = "contradiction: opposite ratings of one answer"


def uncontradicted(examples: Examples, options: CurateOptions) -> Sieved:
    """Drops examples of one input with different demonstrations, and answers that were rated well and badly.

    A rater has one vote on an answer, however often they gave it, see `votes.lost`: where the vote is clear, only the
    examples of those that lost it are dropped. An example with a demonstration stands, whatever its answer got.
    """
    reasons: dict[int, str] = {}
    for same_input in grouped(examples, lambda one: fields_digest(one.inputs, options.ignore)).values():
        if len(same_input) > 1 or len(same_input[0].feedback) > 1:
            reasons |= _reasons(same_input, options)
    return sieve(examples, lambda one: reasons.get(id(one)))


def _reasons(same_input: Examples, options: CurateOptions) -> dict[int, str]:
    reasons = _wrong_corrections(same_input, options)
    for same_answer in grouped(same_input, lambda one: outputs_digest(one.model_outputs)).values():
        wrong = _lost_votes(same_answer, options)
        for one in same_answer:
            if not one.demonstration and wrong & set(votes(one, options.floor)):
                reasons[id(one)] = OPPOSITE
    return reasons


def votes(example: PulledExample, floor: Mapping[str, float]) -> Iterator[Vote]:
    """What each rating says of the model's answer: of a boolean its value, of a number whether it is at the floor."""
    for metric, value in example.metrics.items():
        speaks = vote(metric, value, floor)
        if speaks is not None:
            yield metric, speaks


def vote(metric: str, value: bool | float, floor: Mapping[str, float]) -> bool | None:
    """Return whether a rating speaks for the answer; None where it says neither."""
    if metric in floor:
        return value >= floor[metric]
    return value if isinstance(value, bool) else None


def _wrong_corrections(same_input: Examples, options: CurateOptions) -> dict[int, str]:
    """The examples whose correction lost against another one of the same input."""
    given: list[tuple[Rater, str | None]] = []
    for one in same_input:
        for rater, said in correctors(one, options):
            given.append((rater, outputs_digest(said.value if said else one.outputs)))
    chosen = counted({rater for rater, _ in given}, options.trusted_raters)
    sides = support((rater, side) for rater, side in given if rater in chosen)
    others = {side for _, side in given} - sides.keys()
    wrong = (lost(sides, options.tolerance) if len(sides) > 1 else set()) | others
    reason = DIFFERENT if wrong >= sides.keys() else OUTVOTED
    return {id(one): reason for one in same_input if one.demonstration and outputs_digest(one.outputs) in wrong}


def _lost_votes(same_answer: Examples, options: CurateOptions) -> Set[Vote]:
    """Per metric the side with few raters for it; both where neither has few."""
    given: dict[str, list[tuple[Rater, Vote, bool]]] = {}
    for one in same_answer:
        caller = one.tags.get(options.user_tag) or None
        for rater, metric, value in ratings(one, options):
            speaks = vote(metric, value, options.floor)
            if speaks is not None:
                given.setdefault(metric, []).append((rater, (metric, speaks), rater == caller))
    wrong: set[Vote] = set()
    for cast in given.values():
        chosen = counted({rater for rater, _, _ in cast}, options.trusted_raters)
        sides = support((rater, side) for rater, side, _ in cast if rater in chosen)
        wrong |= lost(sides, options.tolerance, {side for _, side, is_caller in cast if is_caller})
        wrong |= {side for _, side, _ in cast} - sides.keys()
    return wrong
