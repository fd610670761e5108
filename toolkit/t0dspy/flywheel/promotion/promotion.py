"""The promotion test for all metrics, versions and slices: scores in, a decision and its tables out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from t0dspy.flywheel.promotion.compare import Difference, Mean, check_scores, compare, mean_of
from t0dspy.flywheel.promotion.decide import Decision, decide
from t0dspy.flywheel.promotion.options import DEFAULTS, PromotionOptions

T = TypeVar("T")
Scores = Mapping[str, Sequence[float]]
"""Version -> one score per example, in the same order for all versions."""


@dataclass(frozen=True)
class PromotionResult:
    """The decision, and the numbers that it is based on."""

    decision: Decision
    reason: str
    difference: Difference
    """The difference by the deciding metric, on all examples."""
    metrics: Mapping[str, Difference]
    """Every metric that both versions were scored by -> its difference on all examples."""
    versions: Mapping[str, Mapping[str, Mean]]
    """Metric -> version -> its mean score."""
    slices: Mapping[str, Difference]
    """`tag=value` -> the difference by the deciding metric on the examples with that tag.

    Slices inform and do not decide, because some of many slices differ by chance.
    """


def promotion_test(
    scores: Mapping[str, Scores],
    *,
    metric: str,
    incumbent: str,
    challenger: str,
    tags: Sequence[Mapping[str, str]] = (),
    groups: Sequence[str] = (),
    options: PromotionOptions = DEFAULTS,
) -> PromotionResult:
    """Decide between two versions that were scored on the same examples, which neither has seen.

    Args:
        scores: metric -> version -> one score per example; other versions and metrics are only reported.
        metric: the metric that decides.
        incumbent: the version that stays unless the challenger is better.
        challenger: the version that would replace it.
        tags: the tags of each example, to slice by; empty for no slices.
        groups: the name of each example's group, such as its user; examples of one group may depend on each other.
            Empty if each example is a group of its own.
        options: the conditions that a challenger must meet.

    Returns:
        The decision, its reason, and a difference for each metric and slice.

    Raises:
        SettingsError: a score is not a finite number, or with `strict` is outside `score_range`.
        ValueError: versions were scored on different numbers of examples.
    """
    _check(scores, tags, groups, options)
    pairs = (scores[metric][incumbent], scores[metric][challenger])
    metrics = {
        name: compare(by_version[incumbent], by_version[challenger], options, groups)
        for name, by_version in scores.items()
        if name == metric or {incumbent, challenger} <= by_version.keys()
    }
    decision, reason = decide(metrics[metric], options)
    versions = {
        name: {version: mean_of(values, options, groups) for version, values in by_version.items()}
        for name, by_version in scores.items()
    }
    slices = {
        name: compare(
            _picked(pairs[0], chosen), _picked(pairs[1], chosen), options, _picked(groups, chosen) if groups else ()
        )
        for name, chosen in _slices(tags, options.max_slices)
    }
    return PromotionResult(decision, reason, metrics[metric], metrics, versions, slices)


def _picked(values: Sequence[T], chosen: Sequence[int]) -> list[T]:
    return [values[number] for number in chosen]


def _slices(tags: Sequence[Mapping[str, str]], most: int) -> Iterator[tuple[str, list[int]]]:
    """Yield `tag=value` and the numbers of its examples, for tags with few values that are not all the same."""
    for tag in sorted({name for each in tags for name in each}):
        by_value: dict[str, list[int]] = {}
        for number, each in enumerate(tags):
            if tag in each:
                by_value.setdefault(each[tag], []).append(number)
        if len(by_value) <= most and any(len(chosen) < len(tags) for chosen in by_value.values()):
            yield from ((f"{tag}={value}", by_value[value]) for value in sorted(by_value))


def _check(
    scores: Mapping[str, Scores], tags: Sequence[object], groups: Sequence[object], options: PromotionOptions
) -> None:
    for name, by_version in scores.items():
        for version, values in by_version.items():
            check_scores(values, options, f"metric {name}, {version}")
    counts = {len(values) for by_version in scores.values() for values in by_version.values()}
    counts |= {len(part) for part in (tags, groups) if part}
    if len(counts) > 1:
        raise ValueError(
            f"scored on different numbers of examples: {sorted(counts)}, with {len(tags)} tags and {len(groups)} groups"
        )
