"""A small set that stands for a large one: what is common stays common, and the rare is there too."""

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from t0dspy.flywheel.curate.caps import value_of
from t0dspy.flywheel.curate.options import Cap
from t0dspy.flywheel.curate.sketch import array, likeness, sketch
from t0dspy.flywheel.curate.step import Examples, Sieved


def diverse(examples: Examples, limit: int, ignore: Collection[str] = (), caps: Sequence[Cap] = ()) -> Sieved:
    """At most `limit` examples: half of them the first ones, half chosen for being unlike all chosen before.

    The examples come in an order that says nothing, so the first ones are a fair sample. The other half is Gonzalez'
    farthest-first traversal ("Clustering to minimize the maximum intercluster distance", 1985), which alone would
    choose outliers only. It passes over what the caps would take out again.
    """
    if len(examples) <= limit:
        return Sieved(examples)
    room = _Room(examples, limit, caps)
    texts = [{"all": {name: one.inputs[name] for name in one.inputs if name not in ignore}} for one in examples]
    sketches = np.stack([array(sketch(text)) for text in texts])
    nearest = np.zeros(len(examples))
    chosen: list[int] = []
    while len(chosen) < limit:
        fair = len(chosen) < (limit + 1) // 2
        at = len(chosen) if fair else int(np.argmin(nearest))
        if not fair and np.isinf(nearest[at]):
            break
        chosen.append(at)
        nearest = np.maximum(nearest, likeness(sketches, sketches[at]))
        nearest[[at, *room.taken(at)]] = np.inf
    return Sieved([examples[at] for at in sorted(chosen)], {"more than the limit": len(examples) - len(chosen)})


class _Room:
    """What the caps leave of a set of `limit` examples."""

    def __init__(self, examples: Examples, limit: int, caps: Sequence[Cap]) -> None:
        self._values = [[(cap.by, value_of(one, cap)) for cap in caps] for one in examples]
        self._most = {cap.by: self._most_of(at, limit, cap) for at, cap in enumerate(caps)}
        self._count = Counter[tuple[str, str | None]]()

    def _most_of(self, at: int, limit: int, cap: Cap) -> int:
        values = [one[at][1] for one in self._values]
        feasible = (len(set(values) - {None}) + values.count(None)) * cap.share >= 1
        return max(cap.least, int(cap.share * limit)) if feasible else len(values) + 1

    def taken(self, at: int) -> list[int]:
        """Count an example in; the numbers of all for which there is no room from now on."""
        self._count.update(self._values[at])
        full = {one for one in self._values[at] if one[1] is not None and self._count[one] == self._most[one[0]]}
        return [other for other, values in enumerate(self._values) if full.intersection(values)] if full else []
