"""Choose a small set that represents a large one: frequent inputs stay frequent, and rare ones are included."""

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from t0dspy.flywheel.curate.caps import value_of
from t0dspy.flywheel.curate.options import Cap
from t0dspy.flywheel.curate.sketch import as_array, likeness, sketch
from t0dspy.flywheel.curate.step import Examples, StepResult


def keep_diverse(examples: Examples, limit: int, ignore: Collection[str] = (), caps: Sequence[Cap] = ()) -> StepResult:
    """Keep at most `limit` examples: half of them are the first ones, the others differ most from those chosen before.

    The order of the examples is unrelated to time, so the first ones are a fair sample. The other half is chosen by
    Gonzalez' farthest-first traversal ("Clustering to minimize the maximum intercluster distance", 1985), which alone
    would choose only outliers. Examples that the caps would drop later are not chosen.
    """
    if len(examples) <= limit:
        return StepResult(examples)
    room = _Room(examples, limit, caps)
    texts = [
        {"all": {name: example.inputs[name] for name in example.inputs if name not in ignore}} for example in examples
    ]
    sketches = np.stack([as_array(sketch(text)) for text in texts])
    nearest = np.zeros(len(examples))
    chosen: list[int] = []
    while len(chosen) < limit:
        fair = len(chosen) < (limit + 1) // 2
        index = len(chosen) if fair else int(np.argmin(nearest))
        if not fair and np.isinf(nearest[index]):
            break
        chosen.append(index)
        nearest = np.maximum(nearest, likeness(sketches, sketches[index]))
        nearest[[index, *room.take(index)]] = np.inf
    return StepResult(
        [examples[index] for index in sorted(chosen)], {"more than the limit": len(examples) - len(chosen)}
    )


class _Room:
    """How many more examples of each value the caps allow in a set of `limit` examples."""

    def __init__(self, examples: Examples, limit: int, caps: Sequence[Cap]) -> None:
        self._values = [[(cap.by, value_of(example, cap)) for cap in caps] for example in examples]
        self._most = {cap.by: self._most_of(index, limit, cap) for index, cap in enumerate(caps)}
        self._count = Counter[tuple[str, str | None]]()

    def _most_of(self, index: int, limit: int, cap: Cap) -> int:
        values = [of_example[index][1] for of_example in self._values]
        feasible = (len(set(values) - {None}) + values.count(None)) * cap.share >= 1
        return max(cap.least, int(cap.share * limit)) if feasible else len(values) + 1

    def take(self, index: int) -> list[int]:
        """Count an example, and return the numbers of all examples that no longer fit."""
        self._count.update(self._values[index])
        full = {
            value
            for value in self._values[index]
            if value[1] is not None and self._count[value] == self._most[value[0]]
        }
        return [number for number, values in enumerate(self._values) if full.intersection(values)] if full else []
