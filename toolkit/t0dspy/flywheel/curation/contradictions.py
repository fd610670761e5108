"""Inputs about which people disagree: nothing can be learned from them but noise."""

from collections.abc import Iterator, Mapping, Set
from itertools import groupby
from operator import itemgetter

from t0dspy.flywheel.curation.identity import fields_digest, outputs_digest
from t0dspy.flywheel.curation.options import CurateOptions
from t0dspy.flywheel.curation.step import Examples, Sieved, grouped, sieve
from t0dspy.flywheel.pulled import PulledExample

Vote = tuple[str, bool]
"""A metric, and whether it spoke for the answer."""


def uncontradicted(examples: Examples, options: CurateOptions) -> Sieved:
    """Drops examples of one input with different demonstrations, and answers that were rated well and badly.

    A person has one vote on an answer, however often they gave it. Up to `options.tolerance` of the votes may go the
    other way: those examples are dropped alone. An example with a demonstration stands, whatever its answer got.
    """
    reasons: dict[int, str] = {}
    for same_input in grouped(examples, lambda one: fields_digest(one.inputs, options.ignore)).values():
        if len(same_input) > 1:
            reasons |= _reasons(same_input, options)
    return sieve(examples, lambda one: reasons.get(id(one)))


def _reasons(same_input: Examples, options: CurateOptions) -> dict[int, str]:
    if len({outputs_digest(one.outputs) for one in same_input if one.demonstration}) > 1:
        return {id(one): "contradiction: different demonstrations of one input" for one in same_input}
    reasons = {}
    for same_answer in grouped(same_input, lambda one: outputs_digest(one.model_outputs)).values():
        lost = _lost_votes(same_answer, options)
        for one in same_answer:
            if not one.demonstration and lost & set(votes(one, options.floor)):
                reasons[id(one)] = "contradiction: opposite ratings of one answer"
    return reasons


def votes(example: PulledExample, floor: Mapping[str, float]) -> Iterator[Vote]:
    """What each rating says of the model's answer: of a boolean its value, of a number whether it is at the floor."""
    for metric, value in example.metrics.items():
        if metric in floor:
            yield metric, value >= floor[metric]
        elif isinstance(value, bool):
            yield metric, value


def _lost_votes(same_answer: Examples, options: CurateOptions) -> Set[Vote]:
    """Per metric the side with few people for it; both where neither has few."""
    lost: set[Vote] = set()
    for metric, shares in _shares_for(same_answer, options).items():
        share = sum(shares) / len(shares)
        lost |= {(metric, True)} if share < 1 - options.tolerance else set()
        lost |= {(metric, False)} if share > options.tolerance else set()
    return lost


def _shares_for(same_answer: Examples, options: CurateOptions) -> dict[str, list[float]]:
    """Metric -> for each person the share of their ratings that spoke for the answer."""
    given = sorted(
        (metric, one.tags.get(options.user_tag) or f"\0{at}", vote)
        for at, one in enumerate(same_answer)
        for metric, vote in votes(one, options.floor)
    )
    shares: dict[str, list[float]] = {}
    for (metric, _), ratings in groupby(given, itemgetter(0, 1)):
        said = [vote for *_, vote in ratings]
        shares.setdefault(metric, []).append(sum(said) / len(said))
    return shares
