"""Finding which sketches are alike, without comparing all pairs."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from t0dspy.flywheel.curation.sketch import PLACES, Sketch, array, bands, likeness


def alike(one: Sketch, other: Sketch, similarity: float) -> bool:
    """Whether two inputs are near-duplicates: they share a band, and their likeness is at least `similarity`.

    It depends on the two alone, so it is the same in every month and in any order.
    """
    shared = any(mine == theirs for mine, theirs in zip(bands(one), bands(other), strict=True))
    return shared and bool(likeness(array(one), array(other)) >= similarity)


class Alike:
    """A growing collection of sketches that answers which of them are `alike` to another one."""

    def __init__(self, similarity: float) -> None:
        """`similarity` is the least likeness, 0 to 1, that makes a near-duplicate."""
        self.similarity = similarity
        self._sketches: NDArray[np.uint8] = np.empty((64, PLACES), np.uint8)
        self._count = 0
        self._by_band: dict[tuple[int, bytes], list[int]] = {}

    def add(self, one: Sketch) -> int:
        """Take in a sketch; its number, counted from 0."""
        number, self._count = self._count, self._count + 1
        if number == len(self._sketches):
            self._sketches = np.concatenate([self._sketches, np.empty_like(self._sketches)])
        self._sketches[number] = array(one)
        for band in bands(one):
            self._by_band.setdefault(band, []).append(number)
        return number

    def find(self, one: Sketch) -> list[int]:
        """The numbers of the sketches that are alike to this one, smallest first."""
        met = sorted(set(self._met(one)))
        if not met:
            return []
        numbers = np.array(met)
        found = likeness(self._sketches[numbers], array(one)) >= self.similarity
        return [int(number) for number in numbers[found]]

    def _met(self, one: Sketch) -> Iterable[int]:
        return (number for band in bands(one) for number in self._by_band.get(band, ()))
