"""Which examples belong together, and to which set what was decided before draws them."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush

from t0dspy.flywheel.curate.sketch_index import SketchIndex
from t0dspy.flywheel.split.handles import Handles, check_handle
from t0dspy.flywheel.split.set_state import SetName


class Grouping:
    """Handle -> set, growing as examples are settled."""

    def __init__(self, sets: Mapping[str, SetName], similarity: float) -> None:
        """Starts from `sets`; inputs are near-duplicates from a likeness of `similarity` on."""
        self.sets: dict[str, SetName] = dict(sets)
        self._similarity = similarity
        sketched = [(check_handle(handle), name) for handle, name in sets.items()]
        known = [(found, name) for found, name in sketched if found is not None]
        self._alike = SketchIndex(similarity, [found for found, _ in known])
        self._set_of = [name for _, name in known]

    def touched(self, mark: Handles) -> set[SetName]:
        """The sets that an example is tied to.

        What it is alike to was looked at when its input first came, and what came later was held against it; so an
        input that is known stays where it is, though `similarity` may have changed since.
        """
        tied = {self.sets[key] for key in mark.keys if key in self.sets}
        if mark.keys[-1] in self.sets:
            return tied
        return tied | {self._set_of[number] for number in self._alike.find(mark.sketch)}

    def settle(self, mark: Handles, name: SetName) -> None:
        """From now on, all that is tied to this example is tied to the set."""
        new = mark.keys[-1] not in self.sets
        for handle in mark.all if new else mark.keys:
            self.sets[handle] = name
        if new:
            self._alike.add(mark.sketch)
            self._set_of.append(name)

    def spread(self, marks: Sequence[Handles]) -> tuple[list[SetName | None], list[list[int]]]:
        """Settle the examples that are tied to one set, then those tied to these, and so on.

        Gives for each example its set, or None; and the groups, as their numbers, of those that are tied to each other
        and to no set. An example with neither a set nor a group is tied to two sets.
        """
        ties, done = _Ties(marks, self._similarity, self.sets), set[str]()
        found: list[SetName | None] = [None] * len(marks)
        touched = [self.touched(mark) for mark in marks]
        waiting = [at for at, sets in enumerate(touched) if sets]
        heapify(waiting)
        while waiting:
            at = heappop(waiting)
            if found[at] is not None or len(touched[at]) > 1:
                continue
            (name,) = touched[at]
            found[at] = name
            self.settle(marks[at], name)
            for other in ties.followed(at, done):
                touched[other].add(name)
                heappush(waiting, other)
        return found, list(_groups({at for at, sets in enumerate(touched) if not sets}, ties))


def _groups(left: set[int], ties: "_Ties") -> Iterator[list[int]]:
    done: set[str] = set()
    for first in sorted(left):
        if first in left:
            left.discard(first)
            group, waiting = [first], [first]
            while waiting:
                new = [other for other in ties.followed(waiting.pop(), done) if other in left]
                left.difference_update(new)
                group += new
                waiting += new
            yield sorted(group)


class _Ties:
    """Who among some examples is tied to whom; an input that is known has its place, whatever it is alike to."""

    def __init__(self, marks: Sequence[Handles], similarity: float, known: Collection[str]) -> None:
        self.marks = marks
        self.by_key: dict[str, list[int]] = defaultdict(list)
        self.near: dict[str, list[str]] = defaultdict(list)
        alike, inputs = SketchIndex(similarity), list[str]()
        for at, mark in enumerate(marks):
            if mark.keys[-1] not in self.by_key and mark.keys[-1] not in known:
                for number in alike.find(mark.sketch):
                    self.near[mark.keys[-1]].append(inputs[number])
                    self.near[inputs[number]].append(mark.keys[-1])
                alike.add(mark.sketch)
                inputs.append(mark.keys[-1])
            for key in mark.keys:
                self.by_key[key].append(at)

    def followed(self, at: int, done: set[str]) -> list[int]:
        """The examples that `at` is tied to, but for the keys in `done`, from which all were followed before."""
        new = [key for key in self.marks[at].keys if key not in done]
        done.update(new)
        return [other for key in new for target in (key, *self.near.get(key, ())) for other in self.by_key[target]]
