"""Find near-duplicate sketches without comparing all pairs."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from t0dspy.flywheel.curate.sketch import BANDS, PLACES, Sketch, as_array, bands, likeness

_SALTS = np.arange(1, BANDS + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
"""A number per band, so that equal bytes in different bands get different keys."""


def are_alike(first: Sketch, second: Sketch, similarity: float) -> bool:
    """Return whether two inputs are near-duplicates: they share a band, and their similarity is at least `similarity`.

    The result depends on the two sketches alone, so it is the same in every run and in any order.
    """
    shared = any(mine == theirs for mine, theirs in zip(bands(first), bands(second), strict=True))
    return shared and bool(likeness(as_array(first), as_array(second)) >= similarity)


class SketchIndex:
    """A growing collection of sketches that finds the near-duplicates of a given sketch."""

    def __init__(self, similarity: float, known: Sequence[Sketch] = ()) -> None:
        """Start with the sketches `known`, which get the numbers 0, 1, and so on; each takes about 700 bytes.

        Args:
            similarity: the least likeness, 0 to 1, that makes a near-duplicate.
            known: sketches to start with; there may be millions.
        """
        self.similarity = similarity
        self._known = _Sorted(known)
        self._sketches = np.empty((64, PLACES), np.uint8)
        self._count = 0
        self._by_band: dict[int, list[int]] = {}

    def add(self, sketch: Sketch) -> int:
        """Add a sketch and return its number."""
        number, self._count = self._count, self._count + 1
        if number == len(self._sketches):
            self._sketches = np.concatenate([self._sketches, np.empty_like(self._sketches)])
        self._sketches[number] = as_array(sketch)
        for band in _salted(as_array(sketch)).tolist():
            self._by_band.setdefault(band, []).append(number)
        return number + len(self._known.sketches)

    def find(self, sketch: Sketch) -> list[int]:
        """Return the numbers of the near-duplicates of this sketch, smallest first."""
        salted, offset = _salted(as_array(sketch)), len(self._known.sketches)
        met = sorted({number for band in salted.tolist() for number in self._by_band.get(band, ())})
        known = self._alike(sketch, self._known.sketches, self._known.met(salted))
        return [*known, *(number + offset for number in self._alike(sketch, self._sketches, met))]

    def _alike(self, sketch: Sketch, sketches: NDArray[np.uint8], met: Sequence[int]) -> list[int]:
        if not met:
            return []
        numbers = np.array(met)
        numbers_found: list[int] = numbers[likeness(sketches[numbers], as_array(sketch)) >= self.similarity].tolist()
        return numbers_found


class _Sorted:
    """Sketches that are all known at the start, with their bands in one sorted array."""

    def __init__(self, known: Sequence[Sketch]) -> None:
        self.sketches = np.frombuffer(b"".join(known), np.uint8).reshape(len(known), PLACES)
        salted = _salted(self.sketches).ravel()
        order = np.argsort(salted, kind="stable")
        self._bands, self._numbers = salted[order], (order // BANDS).astype(np.uint32)

    def met(self, salted: NDArray[np.uint64]) -> list[int]:
        if not len(self._bands):
            return []
        first, last = (np.searchsorted(self._bands, salted, side) for side in ("left", "right"))
        hits = [self._numbers[start:end] for start, end in zip(first, last, strict=True) if start < end]
        return [int(number) for number in np.unique(np.concatenate(hits))] if hits else []


def _salted(sketches: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return the bands of sketches as numbers that are equal only for equal bytes in the same band."""
    numbers = np.ascontiguousarray(sketches).view("<u8").astype(np.uint64)
    return (numbers ^ _SALTS) * np.uint64(0xFF51AFD7ED558CCD)
