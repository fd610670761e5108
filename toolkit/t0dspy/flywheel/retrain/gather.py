"""Turn pulled examples and the user's files into three sets, with a holdout that the incumbent has not seen."""

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
from t0dspy.flywheel.retrain.showable import filter_showable, note_hidden
from t0dspy.flywheel.split.handles import without_lineage
from t0dspy.flywheel.split.split import SetOptions, Sets, SetState, UserExamples, split
from t0dspy.flywheel.split.user_files import read_user_examples
from t0dspy.flywheel.to_dspy import Types, to_example
from t0dspy.model import digest
from t0dspy.program.of_version import input_names
from t0dspy.settings import ProgramSettings

LINEAGE = "lineage.json"
"""A file of a version: the handles of every example that was used to make it."""


@dataclass(frozen=True)
class Gathered:
    """The examples of a retrain."""

    train: Sequence[PulledExample]
    validation: Sequence[PulledExample]
    holdout: Sequence[PulledExample]
    pulled: int
    feedback: int
    """How many of the pulled examples have feedback, plus the number of the user's own examples."""
    origin: Mapping[str, int] = field(default_factory=dict)
    """Origin -> how many examples in the sets have it."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Reason -> how many examples were left out for it."""
    changed: Mapping[str, int] = field(default_factory=dict)
    """Change -> how many of the kept examples curation made it to."""
    notes: Sequence[str] = ()
    user_examples: Sequence[PulledExample] = field(default=(), repr=False)
    """The examples of the user's own files."""
    state: SetState = field(default_factory=SetState, repr=False)

    @property
    def fingerprint(self) -> str:
        """Return a digest that is equal if the sets are equal."""
        return digest(sorted(digest(example.to_line()) for example in (*self.train, *self.validation, *self.holdout)))


def gather(
    pulled: Sequence[PulledExample],
    exported: ExportedProgram,
    live: dspy.Module,
    version: str,
    program_settings: ProgramSettings,
    base: Path,
    state: SetState,
) -> Gathered:
    """Curate and split the pulled examples together with the user's own data.

    Args:
        pulled: the examples from production.
        exported: the exported program.
        live: its code.
        version: the incumbent.
        program_settings: the program's settings.
        base: the directory that paths in the settings are relative to.
        state: the assignments of earlier runs.

    Raises:
        SettingsError: an option of curation or a data file is not valid.
    """
    options = curate_options(program_settings)
    curated = curate(pulled, options, schemas=_schemas(exported))
    by_set = _read_user_files(program_settings, base, input_names(exported, live))
    kept = _of_types(curated.kept, Types.of(live, exported.name))
    divided = split(
        kept, state, SetOptions(program_settings.gold, similarity=options.similarity, ignore=options.ignore), by_set
    )
    dropped = Counter(curated.dropped) + Counter(divided.dropped)
    dropped["its values do not fit the program's types"] = len(curated.kept) - len(kept)
    sets = _with_gold(divided, program_settings, options.floor, dropped)
    clean, used = without_lineage(sets["holdout"], lineage(exported, version), ignore=options.ignore)
    if used:
        dropped["holdout: in the lineage of the incumbent"] += used
    sets["holdout"] = clean
    for name in ("validation", "holdout"):
        shown = _shown_by(exported, version, sets[name])
        if shown:
            dropped[f"{name}: shown by a demo of the incumbent"] += len(sets[name]) - len(shown.kept)
            sets[name] = shown.kept
    user_examples = [example for part in (by_set.train, by_set.validation, by_set.holdout) for example in part]
    sets["train"] = filter_showable(sets["train"], set(map(id, user_examples)), options, dropped)
    every = [example for name in sets for example in sets[name]]
    with_feedback = sum(bool(example.metrics or example.comments or example.demonstration) for example in pulled)
    return Gathered(
        train=sets["train"],
        validation=sets["validation"],
        holdout=sets["holdout"],
        pulled=len(pulled),
        feedback=with_feedback + len(user_examples),
        origin=dict(Counter(_origin(example, options.floor) for example in every)),
        dropped={reason: count for reason, count in dropped.items() if count},
        changed=curated.changed,
        notes=note_hidden(user_examples),
        user_examples=user_examples,
        state=divided.state,
    )


def is_good(example: PulledExample, floor: Mapping[str, float]) -> bool:
    """Return whether the answer is right: a person gave it, or all of its ratings by the floor's metrics are good.

    Without a floor, every boolean metric counts.
    """
    if example.outputs is None or example.demonstration:
        return example.outputs is not None
    if floor:
        rated = {name: value for name, value in example.metrics.items() if name in floor}
        return bool(rated) and all(value >= floor[name] for name, value in rated.items())
    ratings = [value for value in example.metrics.values() if isinstance(value, bool)]
    return bool(ratings) and all(ratings)


def good_runs(train: Sequence[PulledExample], floor: Mapping[str, float]) -> list[PulledExample]:
    """Return the runs that may become demos, newest first: good ones whose stages led to the answer that was rated."""
    good = [run for run in train if is_good(run, floor) and not (run.demonstration and run.stages)]
    return sorted(good, key=lambda run: (run.timestamp or "", run.inference_id or ""), reverse=True)


def sealed_items(examples: Iterable[PulledExample]) -> Iterable[Mapping[str, Any]]:
    """Yield the inputs of examples and of their stages, as `Sealed` takes them."""
    for example in examples:
        yield example.inputs
        yield from (stage.inputs for stage in example.stages)


def lineage(exported: ExportedProgram, version: str) -> set[str]:
    """Return the handles of every example that `version` or one of its ancestors has seen."""
    seen: set[str] = set()
    ancestor: str | None = version
    while ancestor is not None and ancestor in exported.manifest.versions:
        path = f"{ancestor}/{LINEAGE}"
        if path in exported.files:
            recorded = exported.json(path)
            seen |= {handle for part in ("train", "validation") for handle in recorded.get(part, ())}
        ancestor = exported.manifest.versions[ancestor].parent
    return seen


@dataclass(frozen=True)
class _Kept:
    kept: list[PulledExample]


def _shown_by(exported: ExportedProgram, version: str, examples: Sequence[PulledExample]) -> _Kept | None:
    """Return the examples that no demo of `version` shows; None if its demos show none of them."""
    state = exported.state(version)
    predictors = [state] if "demos" in state else [example for name, example in state.items() if name != "metadata"]
    demos = [demo for predictor in predictors for demo in predictor.get("demos", ())]
    kept = [example for example in examples if not any(Sealed(sealed_items([example])).holds(demo) for demo in demos)]
    return _Kept(kept) if len(kept) < len(examples) else None


def _of_types(examples: Sequence[PulledExample], types: Types) -> list[PulledExample]:
    """Return the examples whose values fit the program's types; a type can be stricter than its schema."""
    kept = []
    for example in examples:
        with suppress(SettingsError):
            to_example(replace(example, demonstration=True), types)
            kept.append(example)
    return kept


def _with_gold(
    divided: Sets, program_settings: ProgramSettings, floor: Mapping[str, float], dropped: Counter[str]
) -> dict[str, list[PulledExample]]:
    """Return the sets; if gold is required, without examples whose answer nobody rated as right."""
    sets: dict[str, list[PulledExample]] = {}
    for name in ("train", "validation", "holdout"):
        every: Sequence[PulledExample] = getattr(divided, name)
        sets[name] = [example for example in every if program_settings.gold == "none" or is_good(example, floor)]
        dropped[f"{name}: nobody said that its answer is right"] += len(every) - len(sets[name])
    return sets


def _read_user_files(program_settings: ProgramSettings, base: Path, inputs: Sequence[str]) -> UserExamples:
    def read(path: str | None) -> list[PulledExample]:
        return list(read_user_examples(base / path, inputs)) if path else []

    return UserExamples(read(program_settings.trainset), read(program_settings.valset), read(program_settings.holdout))


def _origin(example: PulledExample, floor: Mapping[str, float]) -> str:
    if example.inference_id is None:
        return "a file of yours"
    if example.demonstration:
        return "production, corrected by a person"
    if is_good(example, floor):
        return "production, found good"
    return "production, found bad" if example.metrics else "production, without a verdict"


def _schemas(exported: ExportedProgram) -> Schemas | None:
    name, manifest = exported.name, exported.manifest
    if name not in manifest.functions:
        return None
    newest = exported.version(manifest.newest or "").predictors
    stages = {
        path: Schemas(*exported.schemas(entry.function))
        for path, entry in newest.items()
        if entry.function != name and not entry.kept
    }
    return replace(Schemas(*exported.schemas(name)), stages=stages)
