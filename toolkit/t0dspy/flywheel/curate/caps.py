"""Limit how many examples one user, version or label contributes."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from t0dspy.flywheel.curate.identity import feedback_rank, fields_digest
from t0dspy.flywheel.curate.options import Cap
from t0dspy.flywheel.curate.raters import sole_rater
from t0dspy.flywheel.curate.step import Examples, StepResult
from t0dspy.flywheel.example import PulledExample


def apply_caps(examples: Examples, caps: Sequence[Cap]) -> StepResult:
    """Drop the examples that exceed the caps, those with the least feedback first, until every cap holds.

    An example without the value (no such tag) counts as a value of its own.
    """
    kept, dropped = list(examples), Counter[str]()
    before = None
    while before != len(kept):
        before = len(kept)
        for cap in caps:
            count = len(kept)
            kept = _apply_cap(kept, cap)
            if len(kept) < count:
                dropped[f"over the cap of {cap.by}"] += count - len(kept)
    return StepResult(kept, dropped)


def allowance(counts: Sequence[int], alone: int, cap: Cap) -> int:
    """Return how many examples one value may hold.

    This is the largest number that is at most the cap's share of all kept examples. If there are too few values for the
    share (two users cannot hold a fifth each), it is the second largest count. It is never below `cap.least`.

    Args:
        counts: how many examples each value holds.
        alone: how many examples have no value.
        cap: the share and the least number.
    """
    if len(counts) + alone < 2:
        return max([*counts, cap.least])
    if (len(counts) + alone) * cap.share < 1:
        return max(cap.least, sorted([*counts, *[1] * alone])[-2])
    low, high = 0, max(counts, default=0)
    while low < high:  # bisection works because the share of the kept examples grows more slowly than the limit
        middle = (low + high + 1) // 2
        kept = alone + sum(min(count, middle) for count in counts)
        low, high = (middle, high) if middle <= cap.share * kept + 1e-9 else (low, middle - 1)
    return max(low, cap.least)


def _apply_cap(examples: Examples, cap: Cap) -> list[PulledExample]:
    values = {id(example): value_of(example, cap) for example in examples}
    counts = Counter(value for value in values.values() if value is not None)
    limit = allowance(list(counts.values()), len(examples) - counts.total(), cap)
    taken = Counter[Hashable]()
    kept: set[int] = set()
    for example in sorted(examples, key=feedback_rank):
        value = values[id(example)]
        taken[value] += 1
        if value is None or taken[value] <= limit:
            kept.add(id(example))
    return [example for example in examples if id(example) in kept]


def value_of(example: PulledExample, cap: Cap) -> str | None:
    """Return a digest of the value that a cap counts an example under; None if the example has no such value."""
    group, _, name = cap.by.partition(".")
    value: Any = sole_rater(example, cap.exempt) if group == "rater" else getattr(example, group)
    if name:
        value = value.get(name) if isinstance(value, Mapping) else None
    return None if value is None else fields_digest({"value": value})
