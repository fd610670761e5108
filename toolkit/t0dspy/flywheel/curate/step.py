"""The interface of a curation step."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from t0dspy.flywheel.example import PulledExample

Examples = Sequence[PulledExample]


@dataclass(frozen=True)
class StepResult:
    """The examples that a step kept, and counts of what it did."""

    kept: Examples
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Reason -> how many examples were dropped for it."""
    changed: Mapping[str, int] = field(default_factory=dict)
    """Change -> how many of the kept examples it was made to."""


Step = Callable[[Examples], StepResult]
"""A function that takes examples, in an order unrelated to time, and returns the kept ones in the same order."""


def sieve(examples: Examples, drop_reason: Callable[[PulledExample], str | None]) -> StepResult:
    """Keep the examples for which `drop_reason` returns None, and count its reasons for the others."""
    kept, dropped = [], Counter[str]()
    for example in examples:
        reason = drop_reason(example)
        if reason is None:
            kept.append(example)
        else:
            dropped[reason] += 1
    return StepResult(kept, dropped)


def grouped(
    examples: Iterable[PulledExample], key: Callable[[PulledExample], Hashable]
) -> dict[Hashable, list[PulledExample]]:
    """Return the examples by `key`, each group in the given order."""
    groups: dict[Hashable, list[PulledExample]] = {}
    for example in examples:
        groups.setdefault(key(example), []).append(example)
    return groups
