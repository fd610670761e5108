"""Three sets that share nothing: to train on, to validate candidates on, and a holdout to judge the winner by.

Whatever is tied together by an episode, an input or a near-duplicate is in one set. The drawing is by hash, never by
age, and remembered in a `SetState`, so that no example moves from one month to the next.
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

__all__ = ["Own", "SetOptions", "SetState", "Sets", "assign"]


@dataclass(frozen=True)
class SetOptions:
    """How examples are divided."""

    gold: Gold = "none"
    """With `required`, the holdout takes only examples whose answer is a person's."""
    validation: float = 0.25
    """The share for validating; what is left is to train on."""
    holdout: float = 0.25
    """The share for judging."""
    labelled_holdout: float = 0.5
    """The same, of the examples with a person's answer, where gold is `required`: there are no others to judge by."""
    similarity: float = SIMILARITY
    """From which likeness on two inputs are near-duplicates, 0 to 1."""
    ignore: tuple[str, ...] = ()
    """Input fields that make no input another one."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks the shares, which may come from a file."""
        for name in ("validation", "holdout", "labelled_holdout"):
            share = getattr(self, name)
            if not 0 <= share < 1:
                raise SettingsError(f"{name}: is {share!r}; write a share from 0 to below 1.")
        if self.validation + self.holdout >= 1:
            raise SettingsError(
                f"validation and holdout: {self.validation} and {self.holdout} leave nothing to train on."
            )


@dataclass(frozen=True)
class Own:
    """The user's own files, as `read_own` gives them; what they hold joins the set of their name."""

    train: Sequence[PulledExample] = ()
    validation: Sequence[PulledExample] = ()
    holdout: Sequence[PulledExample] = ()


@dataclass(frozen=True)
class Sets:
    """The division, each set in an order that says nothing of age."""

    train: Sequence[PulledExample]
    validation: Sequence[PulledExample]
    holdout: Sequence[PulledExample]
    dropped: Mapping[str, int]
    """Reason -> how many."""
    state: SetState = field(repr=False)
    """What was known before and what was decided now, to be written before either is used."""


def assign(
    examples: Sequence[PulledExample], state: SetState, options: SetOptions = SetOptions(), own: Own = Own()
) -> Sets:
    """Divide curated examples, those seen before as before.

    An example that is tied to two sets is dropped. The user's own examples are placed first, the holdout's before the
    others, and are dropped where that contradicts what was decided in an earlier run. Of the production examples with
    an input that the user's files hold too, none is kept.

    Args:
        examples: what `curate` kept.
        state: what earlier calls decided.
        options: shares, and what ties examples together.
        own: the user's own examples.
    """
    division = _Division(state, options)
    for name in reversed(SETS):
        division.place_own(getattr(own, name), name)
    division.place(examples)
    return division.result()


class _Division:
    """A division under way."""

    def __init__(self, state: SetState, options: SetOptions) -> None:
        self.options = options
        self.grouping = Grouping(state.sets, options.similarity)
        self.dropped = Counter[str]()
        self.sets: dict[SetName, list[PulledExample]] = {name: [] for name in SETS}
        self.owned: set[str] = set()

    def place_own(self, examples: Sequence[PulledExample], name: SetName) -> None:
        for one, mark in self._ordered(examples):
            touched = self.grouping.touched(mark)
            if touched <= {name}:
                self.owned.add(mark.keys[-1])
                self.grouping.settle(mark, name)
                self._take(one, name)
            else:
                self.dropped[f"yours for {name}, but tied to {' and '.join(sorted(touched - {name}))}"] += 1

    def place(self, examples: Sequence[PulledExample]) -> None:
        ordered = []
        for one, mark in self._ordered(examples):
            if mark.keys[-1] in self.owned:
                self.dropped["its input is in a file of yours"] += 1
            else:
                ordered.append((one, mark))
        labelled = [_labelled(one) for one, _ in ordered]
        marks = [mark for _, mark in ordered]
        found, groups = self.grouping.spread(marks)
        for group in groups:
            name = self._drawn([marks[at] for at in group], any(labelled[at] for at in group), len(marks))
            for at in group:
                self.grouping.settle(marks[at], name)
                found[at] = name
        for at, (one, _) in enumerate(ordered):
            self._take(one, found[at])

    def result(self) -> Sets:
        return Sets(**self.sets, dropped=dict(self.dropped), state=SetState(dict(self.grouping.sets)))

    def _ordered(self, examples: Sequence[PulledExample]) -> list[tuple[PulledExample, Handles]]:
        """The examples with their handles, in an order that their contents decide."""
        marked = [(one, handles(one, self.options.ignore)) for one in examples]
        return sorted(marked, key=lambda pair: (self._hash(pair[1].keys[-1]), pair[0].to_line()))

    def _hash(self, handle: str) -> str:
        return digest(f"{self.options.seed} {handle}")

    def _take(self, one: PulledExample, name: SetName | None) -> None:
        if name is None:
            self.dropped["tied to two sets"] += 1
        elif name == "holdout" and self.options.gold == "required" and not _labelled(one):
            self.dropped["holdout: its answer is no person's"] += 1
        else:
            self.sets[name].append(one)

    def _drawn(self, group: Collection[Handles], labelled: bool, total: int) -> SetName:
        """The set that a new group falls into, as the hash of its first input says.

        A group that is a large part of all goes to train: in a small set it would be the only voice.
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


def _labelled(one: PulledExample) -> bool:
    return one.demonstration and one.outputs is not None
