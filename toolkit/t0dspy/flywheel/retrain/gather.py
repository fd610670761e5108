"""From what production said to three sets: pull, curate, divide, and keep the holdout clean."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dspy

from t0dspy.artifact.exported import ExportedProgram
from t0dspy.errors import SettingsError
from t0dspy.flywheel.curate.curate import Schemas, curate
from t0dspy.flywheel.curate.settings import curate_options
from t0dspy.flywheel.example import PulledExample
from t0dspy.flywheel.optimize.candidates import Sealed
from t0dspy.flywheel.retrain.showable import note_hidden, showable
from t0dspy.flywheel.split.handles import without_lineage
from t0dspy.flywheel.split.split import Own, SetOptions, Sets, SetState, assign
from t0dspy.flywheel.split.user_files import read_own
from t0dspy.flywheel.to_dspy import Types, to_example
from t0dspy.model import digest
from t0dspy.program.of_version import input_names
from t0dspy.settings import ProgramSettings

LINEAGE = "lineage.json"
"""Beside a version's files: the handles of every example that was used in making it."""


@dataclass(frozen=True)
class Gathered:
    """What a retrain has to work with."""

    train: Sequence[PulledExample]
    validation: Sequence[PulledExample]
    holdout: Sequence[PulledExample]
    pulled: int
    feedback: int
    """Of the pulled, those that people said something of; the user's own examples besides."""
    origin: Mapping[str, int] = field(default_factory=dict)
    """Where the examples in the sets come from -> how many."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Reason -> how many were left out for it."""
    changed: Mapping[str, int] = field(default_factory=dict)
    """What curation did to examples that it kept -> how many."""
    notes: Sequence[str] = ()
    own: Sequence[PulledExample] = field(default=(), repr=False)
    """The examples of the user's own files."""
    state: SetState = field(default_factory=SetState, repr=False)

    @property
    def fingerprint(self) -> str:
        """Equal when nothing is new."""
        return digest(sorted(digest(one.to_line()) for one in (*self.train, *self.validation, *self.holdout)))


def gather(
    pulled: Sequence[PulledExample],
    exported: ExportedProgram,
    live: dspy.Module,
    version: str,
    own: ProgramSettings,
    base: Path,
    state: SetState,
) -> Gathered:
    """Curate and divide what was pulled, together with the user's own data.

    Args:
        pulled: as production has it.
        exported: the exported program.
        live: its code.
        version: the incumbent.
        own: the program's settings.
        base: what their paths are relative to.
        state: where earlier runs put which example.

    Raises:
        SettingsError: an option of curation, or a data file.
    """
    options = curate_options(own)
    curated = curate(pulled, options, schemas=_schemas(exported))
    mine = _own(own, base, input_names(exported, live))
    kept = _of_types(curated.kept, Types.of(live, exported.name))
    divided = assign(kept, state, SetOptions(own.gold, similarity=options.similarity, ignore=options.ignore), mine)
    dropped = Counter(curated.dropped) + Counter(divided.dropped)
    dropped["its values do not fit the program's types"] = len(curated.kept) - len(kept)
    sets = _with_gold(divided, own, options.floor, dropped)
    clean, used = without_lineage(sets["holdout"], lineage(exported, version), ignore=options.ignore)
    if used:
        dropped["holdout: in the lineage of the incumbent"] += used
    sets["holdout"] = clean
    for name in ("validation", "holdout"):
        shown = _shown_by(exported, version, sets[name])
        if shown:
            dropped[f"{name}: shown by a demo of the incumbent"] += len(sets[name]) - len(shown.kept)
            sets[name] = shown.kept
    own_examples = [one for part in (mine.train, mine.validation, mine.holdout) for one in part]
    sets["train"] = showable(sets["train"], set(map(id, own_examples)), options, dropped)
    every = [one for name in sets for one in sets[name]]
    said = sum(bool(one.metrics or one.comments or one.demonstration) for one in pulled)
    return Gathered(
        train=sets["train"],
        validation=sets["validation"],
        holdout=sets["holdout"],
        pulled=len(pulled),
        feedback=said + len(own_examples),
        origin=dict(Counter(_origin(one, options.floor) for one in every)),
        dropped={reason: count for reason, count in dropped.items() if count},
        changed=curated.changed,
        notes=note_hidden(own_examples),
        own=own_examples,
        state=divided.state,
    )


def is_good(one: PulledExample, floor: Mapping[str, float]) -> bool:
    """Whether people found the answer right: it is theirs, or all that was said of it by the floor's metrics is good.

    Without a floor every boolean metric counts.
    """
    if one.outputs is None or one.demonstration:
        return one.outputs is not None
    if floor:
        rated = {name: value for name, value in one.metrics.items() if name in floor}
        return bool(rated) and all(value >= floor[name] for name, value in rated.items())
    told = [value for value in one.metrics.values() if isinstance(value, bool)]
    return bool(told) and all(told)


def good_runs(train: Sequence[PulledExample], floor: Mapping[str, float]) -> list[PulledExample]:
    """The runs that may become demos, newest first: good ones, whose stages led to the answer that people liked."""
    good = [one for one in train if is_good(one, floor) and not (one.demonstration and one.stages)]
    return sorted(good, key=lambda one: (one.timestamp or "", one.inference_id or ""), reverse=True)


def sealed_items(examples: Iterable[PulledExample]) -> Iterable[Mapping[str, Any]]:
    """The inputs of examples, and those of their stages, as `Sealed` takes them."""
    for one in examples:
        yield one.inputs
        yield from (stage.inputs for stage in one.stages)


def lineage(exported: ExportedProgram, version: str) -> set[str]:
    """The handles of every example that `version` or one that it was made from has seen."""
    seen: set[str] = set()
    at: str | None = version
    while at is not None and at in exported.manifest.versions:
        path = f"{at}/{LINEAGE}"
        if path in exported.files:
            recorded = exported.json(path)
            seen |= {handle for part in ("train", "validation") for handle in recorded.get(part, ())}
        at = exported.manifest.versions[at].parent
    return seen


@dataclass(frozen=True)
class _Kept:
    kept: list[PulledExample]


def _shown_by(exported: ExportedProgram, version: str, examples: Sequence[PulledExample]) -> _Kept | None:
    """The examples that no demo of `version` shows; None where none is shown."""
    state = exported.state(version)
    predictors = [state] if "demos" in state else [one for name, one in state.items() if name != "metadata"]
    demos = [demo for predictor in predictors for demo in predictor.get("demos", ())]
    kept = [one for one in examples if not any(Sealed(sealed_items([one])).holds(demo) for demo in demos)]
    return _Kept(kept) if len(kept) < len(examples) else None


def _of_types(examples: Sequence[PulledExample], types: Types) -> list[PulledExample]:
    """The examples whose values are of the program's types: a schema may take what a type's validator does not."""
    kept = []
    for one in examples:
        with suppress(SettingsError):
            to_example(replace(one, demonstration=True), types)
            kept.append(one)
    return kept


def _with_gold(
    divided: Sets, own: ProgramSettings, floor: Mapping[str, float], dropped: Counter[str]
) -> dict[str, list[PulledExample]]:
    """The sets; where gold is required, without examples whose answer nobody found right."""
    sets: dict[str, list[PulledExample]] = {}
    for name in ("train", "validation", "holdout"):
        every: Sequence[PulledExample] = getattr(divided, name)
        sets[name] = [one for one in every if own.gold == "none" or is_good(one, floor)]
        dropped[f"{name}: nobody said that its answer is right"] += len(every) - len(sets[name])
    return sets


def _own(own: ProgramSettings, base: Path, inputs: Sequence[str]) -> Own:
    def read(path: str | None) -> list[PulledExample]:
        return list(read_own(base / path, inputs)) if path else []

    return Own(read(own.trainset), read(own.valset), read(own.holdout))


def _origin(one: PulledExample, floor: Mapping[str, float]) -> str:
    if one.inference_id is None:
        return "a file of yours"
    if one.demonstration:
        return "production, corrected by a person"
    if is_good(one, floor):
        return "production, found good"
    return "production, found bad" if one.metrics else "production, without a verdict"


def _schemas(exported: ExportedProgram) -> Schemas | None:
    name, manifest = exported.name, exported.manifest
    if name not in manifest.functions:
        return None
    newest = exported.version(manifest.newest or "").predictors
    stages = {
        path: Schemas(*exported.schemas(entry.function)) for path, entry in newest.items() if entry.function != name
    }
    return replace(Schemas(*exported.schemas(name)), stages=stages)
