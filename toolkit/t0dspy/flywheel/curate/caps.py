"""No user, version or label owns the set."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from t0dspy.flywheel.curate.identity import fields_digest, worth
from t0dspy.flywheel.curate.options import Cap
from t0dspy.flywheel.curate.raters import sole_rater
from t0dspy.flywheel.curate.step import Examples, Sieved
from t0dspy.flywheel.example import PulledExample


def capped(examples: Examples, caps: Sequence[Cap]) -> Sieved:
    """Drops what exceeds the caps, the examples about which people said least first, until all of them hold.

    An example without the value (no such tag) counts as a value of its own.
    """
    kept, dropped = list(examples), Counter[str]()
    before = None
    while before != len(kept):
        before = len(kept)
        for cap in caps:
            count = len(kept)
            kept = _within(kept, cap)
            if len(kept) < count:
                dropped[f"over the cap of {cap.by}"] += count - len(kept)
    return Sieved(kept, dropped)


def most(counts: Sequence[int], alone: int, cap: Cap) -> int:
    """How many examples a value may hold.

    The largest number that is at most the share of what is then kept. Where there are too few values for the share
    (two users cannot hold a fifth each), no more than the second largest holds. `least` in any case.

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
    while low < high:  # the share of what is kept grows slower than the cap: once exceeded, it stays exceeded
        middle = (low + high + 1) // 2
        kept = alone + sum(min(count, middle) for count in counts)
        low, high = (middle, high) if middle <= cap.share * kept + 1e-9 else (low, middle - 1)
    return max(low, cap.least)


def _within(examples: Examples, cap: Cap) -> list[PulledExample]:
    values = {id(one): value_of(one, cap) for one in examples}
    counts = Counter(value for value in values.values() if value is not None)
    limit = most(list(counts.values()), len(examples) - counts.total(), cap)
    taken = Counter[Hashable]()
    kept: set[int] = set()
    for one in sorted(examples, key=worth):
        value = values[id(one)]
        taken[value] += 1
        if value is None or taken[value] <= limit:
            kept.add(id(one))
    return [one for one in examples if id(one) in kept]


def value_of(example: PulledExample, cap: Cap) -> str | None:
    """What a cap counts an example under: a digest of the value of `by`; None where it has none."""
    group, _, name = cap.by.partition(".")
    found: Any = sole_rater(example, cap.exempt) if group == "rater" else getattr(example, group)
    if name:
        found = found.get(name) if isinstance(found, Mapping) else None
    return None if found is None else fields_digest({"value": found})
