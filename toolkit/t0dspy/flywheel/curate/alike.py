"""Finding which sketches are alike, without comparing all pairs."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from t0dspy.flywheel.curate.sketch import BANDS, PLACES, Sketch, array, bands, likeness

_SALTS = np.arange(1, BANDS + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
"""What tells equal bytes in one band from the same bytes in another."""


def alike(one: Sketch, other: Sketch, similarity: float) -> bool:
    """Whether two inputs are near-duplicates: they share a band, and their likeness is at least `similarity`.

    It depends on the two alone, so it is the same in every month and in any order.
    """
    shared = any(mine == theirs for mine, theirs in zip(bands(one), bands(other), strict=True))
    return shared and bool(likeness(array(one), array(other)) >= similarity)


class Alike:
    """A growing collection of sketches that answers which of them are `alike` to another one."""

    def __init__(self, similarity: float, known: Sequence[Sketch] = ()) -> None:
        """Starts from `known`, numbered in their order, in some 700 bytes each.

        Args:
            similarity: the least likeness, 0 to 1, that makes a near-duplicate.
            known: sketches to begin with, of which there may be very many.
        """
        self.similarity = similarity
        self._known = _Sorted(known)
        self._sketches = np.empty((64, PLACES), np.uint8)
        self._count = 0
        self._by_band: dict[int, list[int]] = {}

    def add(self, one: Sketch) -> int:
        """Take in a sketch; its number."""
        number, self._count = self._count, self._count + 1
        if number == len(self._sketches):
            self._sketches = np.concatenate([self._sketches, np.empty_like(self._sketches)])
        self._sketches[number] = array(one)
        for band in _salted(array(one)).tolist():
            self._by_band.setdefault(band, []).append(number)
        return number + len(self._known.sketches)

    def find(self, one: Sketch) -> list[int]:
        """The numbers of the sketches that are alike to this one, smallest first."""
        salted, offset = _salted(array(one)), len(self._known.sketches)
        met = sorted({number for band in salted.tolist() for number in self._by_band.get(band, ())})
        known = self._alike(one, self._known.sketches, self._known.met(salted))
        return [*known, *(number + offset for number in self._alike(one, self._sketches, met))]

    def _alike(self, one: Sketch, sketches: NDArray[np.uint8], met: Sequence[int]) -> list[int]:
        if not met:
            return []
        numbers = np.array(met)
        found: list[int] = numbers[likeness(sketches[numbers], array(one)) >= self.similarity].tolist()
        return found


class _Sorted:
    """Sketches that are all there from the beginning, their bands in one sorted array."""

    def __init__(self, known: Sequence[Sketch]) -> None:
        self.sketches = np.frombuffer(b"".join(known), np.uint8).reshape(len(known), PLACES)
        salted = _salted(self.sketches).ravel()
        order = np.argsort(salted, kind="stable")
        self._bands, self._numbers = salted[order], (order // BANDS).astype(np.uint32)

    def met(self, salted: NDArray[np.uint64]) -> list[int]:
        if not len(self._bands):
            return []
        first, last = (np.searchsorted(self._bands, salted, side) for side in ("left", "right"))
        hits = [self._numbers[at:end] for at, end in zip(first, last, strict=True) if at < end]
        return [int(number) for number in np.unique(np.concatenate(hits))] if hits else []


def _salted(sketches: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The bands of sketches as numbers, equal only in the same band."""
    numbers = np.ascontiguousarray(sketches).view("<u8").astype(np.uint64)
    return (numbers ^ _SALTS) * np.uint64(0xFF51AFD7ED558CCD)
