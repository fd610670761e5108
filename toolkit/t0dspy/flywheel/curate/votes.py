"""Count the votes of several raters: one vote per rater, and a single rater cannot outvote others."""

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

Side = TypeVar("Side", bound=Hashable)
Rater = str | None
"""None stands for all raters whose names are unknown; they share one vote."""


def eligible_raters(raters: Collection[Rater], trusted: Collection[str]) -> set[Rater]:
    """Return the raters whose votes count: the trusted ones if any of them voted, else all."""
    return set(raters).intersection(trusted) or set(raters)


def support(votes: Iterable[tuple[Rater, Side]]) -> dict[Side, float]:
    """Return how many raters support each side; the vote of a rater who supports several sides is divided among them.

    Each rater's vote is independent of the other raters.
    """
    by_rater: dict[Rater, Counter[Side]] = {}
    for rater, side in votes:
        by_rater.setdefault(rater, Counter())[side] += 1
    sides_support: dict[Side, float] = {}
    for sides in by_rater.values():
        for side, number in sides.items():
            sides_support[side] = sides_support.get(side, 0.0) + number / sides.total()
    return sides_support


def losing_sides(sides: Mapping[Side, float], tolerance: float, deciding: Collection[Side] = ()) -> set[Side]:
    """Return the sides that lost the vote; all sides if the vote is not clear.

    The vote is clear if the sides other than the largest hold at most the share `tolerance` of the raters. It is also
    clear if they hold at most one rater while the largest holds two or more, so a single rater cannot veto what two
    others agree on. If several sides are equally large and exactly one of them is in `deciding`, that side wins.

    Args:
        sides: each side with how many raters support it, above 0.
        tolerance: a share below 0.5.
        deciding: sides that break a tie.
    """
    total, largest = sum(sides.values()), max(sides.values(), default=0.0)
    others = total - largest
    leading = [side for side, number in sides.items() if number > largest - 1e-9]
    if len(leading) > 1:
        winners = [side for side in leading if side in deciding]
        tied = total - len(leading) * largest < 1e-9
        return set(sides) - set(winners) if len(winners) == 1 and tied else set(sides)
    clear = others <= tolerance * total + 1e-9 or (others <= 1 + 1e-9 and largest >= 2 - 1e-9)
    return set(sides) - set(leading) if clear else set(sides)


def agreed_value(values: Sequence[bool | float], decisive: bool | float | None = None) -> bool | float:
    """Return the value that most raters gave: the median of their values.

    If the two middle values of an even number differ, the lower one is returned, unless the value `decisive` of one of
    the raters is at least the higher one.
    """
    ordered = sorted(values)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return high if decisive is not None and decisive >= high else low
