"""Find the examples that belong together, and the set that earlier decisions assign them to."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush

from t0dspy.flywheel.curate.sketch_index import SketchIndex
from t0dspy.flywheel.split.handles import Handles, check_handle
from t0dspy.flywheel.split.set_state import SetName


class Grouping:
    """Handle -> set; it grows as examples are assigned."""

    def __init__(self, sets: Mapping[str, SetName], similarity: float) -> None:
        """Start with `sets`; two inputs are near-duplicates from a likeness of `similarity` on."""
        self.sets: dict[str, SetName] = dict(sets)
        self._similarity = similarity
        sketched = [(check_handle(handle), name) for handle, name in sets.items()]
        known = [(sketch, name) for sketch, name in sketched if sketch is not None]
        self._alike = SketchIndex(similarity, [sketch for sketch, _ in known])
        self._set_of = [name for _, name in known]

    def tied_sets(self, mark: Handles) -> set[SetName]:
        """Return the sets that an example is tied to.

        The near-duplicates of an input were looked up when it first came, and later inputs were compared with it. So a
        known
        input stays in its set even if `similarity` has changed since.
        """
        tied = {self.sets[key] for key in mark.keys if key in self.sets}
        if mark.keys[-1] in self.sets:
            return tied
        return tied | {self._set_of[number] for number in self._alike.find(mark.sketch)}

    def settle(self, mark: Handles, name: SetName) -> None:
        """Assign an example, and with it everything that is tied to it, to a set."""
        new = mark.keys[-1] not in self.sets
        for handle in mark.all if new else mark.keys:
            self.sets[handle] = name
        if new:
            self._alike.add(mark.sketch)
            self._set_of.append(name)

    def spread(self, marks: Sequence[Handles]) -> tuple[list[SetName | None], list[list[int]]]:
        """Assign the examples that are tied to exactly one set, then those that are tied to these, and so on.

        Returns:
            The set of each example, or None; and the groups, as lists of indexes, of examples that are tied to each
            other
            and to no set. An example with neither a set nor a group is tied to two sets.
        """
        ties, done = _Ties(marks, self._similarity, self.sets), set[str]()
        assigned: list[SetName | None] = [None] * len(marks)
        tied_sets = [self.tied_sets(mark) for mark in marks]
        waiting = [index for index, sets in enumerate(tied_sets) if sets]
        heapify(waiting)
        while waiting:
            index = heappop(waiting)
            if assigned[index] is not None or len(tied_sets[index]) > 1:
                continue
            (name,) = tied_sets[index]
            assigned[index] = name
            self.settle(marks[index], name)
            for other in ties.follow(index, done):
                tied_sets[other].add(name)
                heappush(waiting, other)
        return assigned, list(_groups({index for index, sets in enumerate(tied_sets) if not sets}, ties))


def _groups(left: set[int], ties: "_Ties") -> Iterator[list[int]]:
    done: set[str] = set()
    for first in sorted(left):
        if first in left:
            left.discard(first)
            group, waiting = [first], [first]
            while waiting:
                new = [other for other in ties.follow(waiting.pop(), done) if other in left]
                left.difference_update(new)
                group += new
                waiting += new
            yield sorted(group)


class _Ties:
    """The ties among some examples; an input that is already known is not tied to its near-duplicates."""

    def __init__(self, marks: Sequence[Handles], similarity: float, known: Collection[str]) -> None:
        self.marks = marks
        self.by_key: dict[str, list[int]] = defaultdict(list)
        self.near: dict[str, list[str]] = defaultdict(list)
        alike, inputs = SketchIndex(similarity), list[str]()
        for index, mark in enumerate(marks):
            if mark.keys[-1] not in self.by_key and mark.keys[-1] not in known:
                for number in alike.find(mark.sketch):
                    self.near[mark.keys[-1]].append(inputs[number])
                    self.near[inputs[number]].append(mark.keys[-1])
                alike.add(mark.sketch)
                inputs.append(mark.keys[-1])
            for key in mark.keys:
                self.by_key[key].append(index)

    def follow(self, index: int, done: set[str]) -> list[int]:
        """Return the examples that example `index` is tied to by keys outside `done`, and add these keys to `done`."""
        new = [key for key in self.marks[index].keys if key not in done]
        done.update(new)
        return [other for key in new for target in (key, *self.near.get(key, ())) for other in self.by_key[target]]
