"""How the votes of several raters are counted: one vote for each rater, and a lone rater outvotes nobody."""

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

Side = TypeVar("Side", bound=Hashable)
Rater = str | None
"""None is everybody whose name is not known: they have one vote together."""


def counted(raters: Collection[Rater], trusted: Collection[str]) -> set[Rater]:
    """Return the raters whose votes count: those that are trusted where one of them voted, else all."""
    return set(raters).intersection(trusted) or set(raters)


def support(votes: Iterable[tuple[Rater, Side]]) -> dict[Side, float]:
    """Return for each side how many raters are for it; a rater who voted for several sides divides the vote.

    The vote of one rater depends on nobody else's.
    """
    by_rater: dict[Rater, Counter[Side]] = {}
    for rater, side in votes:
        by_rater.setdefault(rater, Counter())[side] += 1
    found: dict[Side, float] = {}
    for sides in by_rater.values():
        for side, number in sides.items():
            found[side] = found.get(side, 0.0) + number / sides.total()
    return found


def lost(sides: Mapping[Side, float], tolerance: float, deciding: Collection[Side] = ()) -> set[Side]:
    """Return the sides that lost the vote: all of them where the vote is not clear.

    It is clear where the sides other than the largest hold at most the share `tolerance` of the raters, or not more
    than a single rater while the largest holds two or more: nobody vetoes alone what two others agree on. Of sides that
    are equally large, the one that is alone among `deciding` wins.

    Args:
        sides: each side with how many raters are for it, above 0.
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
    """Return what most raters say: the median of their values.

    Of an even number of values that differ in the middle, it is the lower one, unless the value `decisive` of one of
    the raters is not below the higher one.
    """
    ordered = sorted(values)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return high if decisive is not None and decisive >= high else low
