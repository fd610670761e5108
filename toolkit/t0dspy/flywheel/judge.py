"""Is the challenger better than the incumbent? Numbers in, a decision out."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from t0dspy.errors import SettingsError
from t0dspy.flywheel.resampling import Numbers, confidence_above, interval

Scores = Mapping[str, Sequence[float]]
"""Version -> a score for each example, in the order that all versions share."""


@dataclass(frozen=True)
class JudgeOptions:
    """What it takes to be promoted."""

    min_improvement: float = 0.0
    """By how much the challenger's mean must be above the incumbent's, in the metric's own unit."""
    confidence: float = 0.8
    """How certain that must be; 1 minus this is the risk of promoting a challenger that is not better."""
    level: float = 0.95
    """Of the intervals that are shown."""
    resamples: int = 9999
    max_slices: int = 20
    """A tag with more values than this, such as a user's id, makes no slices."""
    seed: int = 0


@dataclass(frozen=True)
class Mean:
    """The score of a version."""

    examples: int
    mean: float
    interval: tuple[float, float] | None
    """None with fewer than two examples."""


@dataclass(frozen=True)
class Difference:
    """The challenger beside the incumbent on the same examples."""

    examples: int
    incumbent: float
    """Mean score."""
    challenger: float
    difference: float
    """Of the challenger's mean over the incumbent's."""
    interval: tuple[float, float] | None
    """Around the difference; None with fewer than two examples."""
    confidence: float
    """That the true difference is above `min_improvement`, 0 to 1."""
    better: int
    """On how many examples the challenger scored more."""
    worse: int


@dataclass(frozen=True)
class Judgement:
    """The decision and what it rests on."""

    decision: Literal["promote", "keep"]
    reason: str
    difference: Difference
    """By the metric that decides, on all examples."""
    metrics: Mapping[str, Difference]
    """Every metric that both were scored by, on all examples."""
    versions: Mapping[str, Mapping[str, Mean]]
    """Metric -> version -> its score."""
    slices: Mapping[str, Difference]
    """`tag=value` -> the deciding metric on the examples with it. To look at, not to decide by: of many slices some
    differ by chance."""


def judge(
    scores: Mapping[str, Scores],
    *,
    metric: str,
    incumbent: str,
    challenger: str,
    tags: Sequence[Mapping[str, str]] = (),
    options: JudgeOptions = JudgeOptions(),
) -> Judgement:
    """Decide between two versions that were scored on the same examples, which neither has seen.

    Args:
        scores: metric -> version -> score by example; may hold other versions and metrics, which are reported.
        metric: the one that decides.
        incumbent: the version that stays unless the challenger is better.
        challenger: the version that would take its place.
        tags: of each example, to slice by; empty for no slices.
        options: what it takes.

    Raises:
        SettingsError: a score is not a finite number, or a threshold makes no sense.
        ValueError: versions were scored on different numbers of examples.
    """
    _check(scores, tags, options)
    metrics = {
        name: compare(by_version[incumbent], by_version[challenger], options)
        for name, by_version in scores.items()
        if name == metric or {incumbent, challenger} <= by_version.keys()
    }
    decision, reason = decide(metrics[metric], options)
    versions = {
        name: {version: _mean(values, options) for version, values in by_version.items()}
        for name, by_version in scores.items()
    }
    pairs = (scores[metric][incumbent], scores[metric][challenger])
    slices = {
        name: compare([pairs[0][at] for at in chosen], [pairs[1][at] for at in chosen], options)
        for name, chosen in _slices(tags, options.max_slices)
    }
    return Judgement(decision, reason, metrics[metric], metrics, versions, slices)


def compare(
    incumbent: Sequence[float], challenger: Sequence[float], options: JudgeOptions = JudgeOptions()
) -> Difference:
    """The paired difference between two versions' scores on the same examples."""
    before, after = np.array(incumbent, dtype=float), np.array(challenger, dtype=float)
    if not len(before):
        return Difference(0, math.nan, math.nan, math.nan, None, 0.0, 0, 0)
    differences = _clean(after - before)
    return Difference(
        examples=len(before),
        incumbent=float(before.mean()),
        challenger=float(after.mean()),
        difference=float(differences.mean()),
        interval=interval(differences, options.level, options.resamples, options.seed),
        confidence=confidence_above(differences, options.min_improvement, options.resamples, options.seed),
        better=int((differences > 0).sum()),
        worse=int((differences < 0).sum()),
    )


def decide(found: Difference, options: JudgeOptions) -> tuple[Literal["promote", "keep"], str]:
    """The decision on a difference, and a sentence that says why."""
    if not found.examples:
        return "keep", "there was nothing to judge by"
    by = f"{found.difference:+.4g} on {found.examples} examples ({found.better} better, {found.worse} worse)"
    least = f"better by more than {options.min_improvement:g}" if options.min_improvement else "better"
    certain = f"confidence {_percent(found.confidence)} that it is {least}, {options.confidence:.0%} asked for"
    if round(found.difference - options.min_improvement, 12) <= 0:
        return "keep", f"the challenger is not {least}: {by}"
    if found.confidence < options.confidence:
        return "keep", f"the challenger's lead may be chance: {by}, {certain}"
    return "promote", f"the challenger is better: {by}, {certain}"


def _percent(confidence: float) -> str:
    """Rounded down, so that what falls short never looks as if it did not."""
    return f"{math.floor(confidence * 1000) / 10:g}%"


def _clean(differences: Numbers) -> Numbers:
    """Differences without the noise of floating point, by which 0.3 - 0.2 would beat 0.1 - 0."""
    return np.round(differences, 12)


def _mean(values: Sequence[float], options: JudgeOptions) -> Mean:
    numbers = np.array(values, dtype=float)
    mean = float(numbers.mean()) if len(numbers) else math.nan
    return Mean(len(numbers), mean, interval(numbers, options.level, options.resamples, options.seed))


def _slices(tags: Sequence[Mapping[str, str]], most: int) -> Iterator[tuple[str, list[int]]]:
    """`tag=value` -> the numbers of its examples, for tags whose values are few and not all the same."""
    for tag in sorted({name for one in tags for name in one}):
        by_value: dict[str, list[int]] = {}
        for at, one in enumerate(tags):
            if tag in one:
                by_value.setdefault(one[tag], []).append(at)
        if len(by_value) <= most and any(len(chosen) < len(tags) for chosen in by_value.values()):
            yield from ((f"{tag}={value}", by_value[value]) for value in sorted(by_value))


def _check(scores: Mapping[str, Scores], tags: Sequence[Mapping[str, str]], options: JudgeOptions) -> None:
    if not 0 < options.confidence <= 1:
        raise SettingsError(f"confidence: is {options.confidence!r}; write a number between 0 and 1, such as 0.8.")
    if not math.isfinite(options.min_improvement):
        raise SettingsError(f"min_improvement: is {options.min_improvement!r}; write a finite number.")
    for name, by_version in scores.items():
        for version, values in by_version.items():
            for at, value in enumerate(values):
                if not math.isfinite(value):
                    raise SettingsError(f"metric {name}: gave {value!r} for example {at + 1} answered by {version}.")
    counts = {len(values) for by_version in scores.values() for values in by_version.values()}
    if len(counts | ({len(tags)} if tags else set())) > 1:
        raise ValueError(f"scored on different numbers of examples: {sorted(counts)}, with tags of {len(tags)}")
