"""What a step of curation is."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from t0dspy.flywheel.example import PulledExample

Examples = Sequence[PulledExample]


@dataclass(frozen=True)
class Sieved:
    """What a step made of the examples it was given."""

    kept: Examples
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Reason -> how many."""
    changed: Mapping[str, int] = field(default_factory=dict)
    """What was done to examples that are kept -> how many."""


Step = Callable[[Examples], Sieved]
"""Examples in, in an order that says nothing; those it keeps out, in the same order."""


def sieve(examples: Examples, why_not: Callable[[PulledExample], str | None]) -> Sieved:
    """The examples for which `why_not` gives None; it gives the reason for the others."""
    kept, dropped = [], Counter[str]()
    for one in examples:
        reason = why_not(one)
        if reason is None:
            kept.append(one)
        else:
            dropped[reason] += 1
    return Sieved(kept, dropped)


def grouped(
    examples: Iterable[PulledExample], key: Callable[[PulledExample], Hashable]
) -> dict[Hashable, list[PulledExample]]:
    """The examples by `key`, each group in the order given."""
    groups: dict[Hashable, list[PulledExample]] = {}
    for one in examples:
        groups.setdefault(key(one), []).append(one)
    return groups
