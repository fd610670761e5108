"""Split examples into three disjoint sets.

For training, for validating candidates, and a holdout for the promotion test.

Examples that are tied by an episode, an input or a near-duplicate are in one set. Sets are drawn by hash, never by
age, and are stored in a `SetState`, so that no example moves from one month to the next.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from t0dspy.errors import SettingsError
from t0dspy.flywheel.example import PulledExample
from t0dspy.flywheel.split.grouping import Grouping
from t0dspy.flywheel.split.handles import SIMILARITY, Handles, handles
from t0dspy.flywheel.split.set_state import SETS, SetName, SetState
from t0dspy.model import digest
from t0dspy.settings import Gold

__all__ = ["SetOptions", "SetState", "Sets", "UserExamples", "split"]


@dataclass(frozen=True)
class SetOptions:
    """The options of the split."""

    gold: Gold = "none"
    """With `required`, the holdout takes only examples with an answer that a person gave."""
    validation: float = 0.25
    """The share for validation; training gets the rest."""
    holdout: float = 0.25
    """The share for the holdout."""
    labelled_holdout: float = 0.5
    """The holdout's share of the examples with a person's answer if gold is `required`; it takes no other examples."""
    similarity: float = SIMILARITY
    """The likeness, 0 to 1, from which two inputs are near-duplicates."""
    ignore: tuple[str, ...] = ()
    """Input fields that do not make inputs different."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the shares, which may come from a file."""
        for name in ("validation", "holdout", "labelled_holdout"):
            share = getattr(self, name)
            if not 0 <= share < 1:
                raise SettingsError(f"{name}: is {share!r}; write a share from 0 to below 1.")
        if self.validation + self.holdout >= 1:
            raise SettingsError(
                f"validation and holdout: {self.validation} and {self.holdout} leave nothing to train on."
            )


@dataclass(frozen=True)
class UserExamples:
    """The examples of the user's own files, each in the set of its name."""

    train: Sequence[PulledExample] = ()
    validation: Sequence[PulledExample] = ()
    holdout: Sequence[PulledExample] = ()


@dataclass(frozen=True)
class Sets:
    """The three sets, each in an order unrelated to age."""

    train: Sequence[PulledExample]
    validation: Sequence[PulledExample]
    holdout: Sequence[PulledExample]
    dropped: Mapping[str, int]
    """Reason -> how many examples were dropped for it."""
    state: SetState = field(repr=False)
    """The earlier and the new assignments; write it before the sets are used."""


def split(
    examples: Sequence[PulledExample],
    state: SetState,
    options: SetOptions = SetOptions(),
    user_examples: UserExamples = UserExamples(),
) -> Sets:
    """Split curated examples; those that were assigned before keep their set.

    An example that is tied to two sets is dropped. The user's own examples are assigned first, starting with the
    holdout;
    one that contradicts an earlier assignment is dropped. Production examples with an input that is also in the user's
    files are dropped.

    Args:
        examples: the examples that `curate` kept.
        state: the assignments of earlier calls.
        options: the shares, and when examples are tied together.
        user_examples: the user's own examples.
    """
    division = _Division(state, options)
    for name in reversed(SETS):
        division.place_user_examples(getattr(user_examples, name), name)
    division.place(examples)
    return division.result()


class _Division:
    """A split in progress."""

    def __init__(self, state: SetState, options: SetOptions) -> None:
        self.options = options
        self.grouping = Grouping(state.sets, options.similarity)
        self.dropped = Counter[str]()
        self.sets: dict[SetName, list[PulledExample]] = {name: [] for name in SETS}
        self.owned: set[str] = set()

    def place_user_examples(self, examples: Sequence[PulledExample], name: SetName) -> None:
        for example, mark in self._ordered(examples):
            tied_sets = self.grouping.tied_sets(mark)
            if tied_sets <= {name}:
                self.owned.add(mark.keys[-1])
                self.grouping.settle(mark, name)
                self._take(example, name)
            else:
                self.dropped[f"yours for {name}, but tied to {' and '.join(sorted(tied_sets - {name}))}"] += 1

    def place(self, examples: Sequence[PulledExample]) -> None:
        ordered = []
        for example, mark in self._ordered(examples):
            if mark.keys[-1] in self.owned:
                self.dropped["its input is in a file of yours"] += 1
            else:
                ordered.append((example, mark))
        labelled = [_labelled(example) for example, _ in ordered]
        marks = [mark for _, mark in ordered]
        assigned, groups = self.grouping.spread(marks)
        for group in groups:
            name = self._draw([marks[index] for index in group], any(labelled[index] for index in group), len(marks))
            for index in group:
                self.grouping.settle(marks[index], name)
                assigned[index] = name
        for index, (example, _) in enumerate(ordered):
            self._take(example, assigned[index])

    def result(self) -> Sets:
        return Sets(**self.sets, dropped=dict(self.dropped), state=SetState(dict(self.grouping.sets)))

    def _ordered(self, examples: Sequence[PulledExample]) -> list[tuple[PulledExample, Handles]]:
        """Return the examples with their handles, in an order that depends only on their contents."""
        marked = [(example, handles(example, self.options.ignore)) for example in examples]
        return sorted(marked, key=lambda pair: (self._hash(pair[1].keys[-1]), pair[0].to_line()))

    def _hash(self, handle: str) -> str:
        return digest(f"{self.options.seed} {handle}")

    def _take(self, example: PulledExample, name: SetName | None) -> None:
        if name is None:
            self.dropped["tied to two sets"] += 1
        elif name == "holdout" and self.options.gold == "required" and not _labelled(example):
            self.dropped["holdout: the answer is not a person's"] += 1
        else:
            self.sets[name].append(example)

    def _draw(self, group: Collection[Handles], labelled: bool, total: int) -> SetName:
        """Return the set of a new group, drawn by the hash of its first input.

        A group that is a large part of all examples goes to train, because it would dominate a small set.
        """
        if len(group) > max(5, total // 20):
            return "train"
        place = int(self._hash(f"group of {min(mark.keys[-1] for mark in group)}")[:12], 16) / 16**12
        holdout, validation = self._shares(labelled)
        return "holdout" if place < holdout else "validation" if place < holdout + validation else "train"

    def _shares(self, labelled: bool) -> tuple[float, float]:
        options = self.options
        if options.gold == "none":
            return options.holdout, options.validation
        holdout = options.labelled_holdout if labelled else 0.0
        return holdout, (1 - holdout) * options.validation / (1 - options.holdout)


def _labelled(example: PulledExample) -> bool:
    return example.demonstration and example.outputs is not None
