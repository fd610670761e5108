"""How a program's versions stand: written and served shares, scores, age, fit."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from t0dspy.artifact.exported import ExportedProgram
from t0dspy.artifact.hand_edits import hand_edit_notes
from t0dspy.artifact.manifest import Change
from t0dspy.artifact.rollout_toml import incumbent
from t0dspy.readiness.problems import code_warning
from t0dspy.rollout.code_fits import Fit, Fits
from t0dspy.rollout.history import awaiting_review
from t0dspy.rollout.live import LiveScore
from t0dspy.rollout.served import Served


@dataclass(frozen=True)
class VersionStanding:
    """One version."""

    version: str
    share: float
    """As written; 0 for none."""
    served: float | None
    """The share that the gateway gives it; None when that is not known."""
    loaded: bool | None
    """Whether the gateway knows it; None when that is not known."""
    scores: Mapping[str, Any] | None
    live: Mapping[str, LiveScore] | None
    """Metric -> what people said of it lately; None when that is not known."""
    created: str
    age: float
    """Seconds since it was exported."""
    fit: Fit
    awaits_review: bool = False
    """Whether a retrain exported it for a person's decision, which the history does not have yet."""


@dataclass(frozen=True)
class Standing:
    """A program."""

    name: str
    incumbent: str | None
    versions: Sequence[VersionStanding]
    serving: bool | None
    """Whether the gateway serves what is written; None when that is not known, and `why` says why."""
    why: str
    config_hash: str | None
    history: Sequence[Change]
    warnings: Sequence[str] = ()
    """Versions in traffic whose code changed since their export, and generated files that were changed by hand."""

    def as_json(self) -> dict[str, Any]:
        """The standing as values that JSON knows."""
        return {
            "name": self.name,
            "incumbent": self.incumbent,
            "serving": self.serving,
            "why": self.why,
            "config_hash": self.config_hash,
            "versions": [_version_json(one) for one in self.versions],
            "history": [asdict(change) for change in self.history],
            "warnings": list(self.warnings),
        }


def standing(
    program: ExportedProgram, served: Served, now: datetime, live: Mapping[str, Mapping[str, LiveScore]] | None = None
) -> Standing:
    """How the versions of `program` stand, newest first.

    Args:
        program: the program as it is written.
        served: what the gateway serves.
        now: the time, with its zone.
        live: version -> metric -> what people said lately; None when that is not known.
    """
    manifest = program.manifest
    fits, shares = Fits(program), served.shares(manifest)
    awaiting = awaiting_review(manifest)
    versions = [
        VersionStanding(
            version,
            share=program.shares.get(version, 0.0),
            served=None if shares is None else shares.get(version, 0.0),
            loaded=served.loaded(manifest, version),
            scores=entry.scores,
            live=None if live is None else live.get(version, {}),
            created=entry.created,
            age=max(0.0, (now - datetime.fromisoformat(entry.created)).total_seconds()),
            fit=fits.of(version),
            awaits_review=version in awaiting,
        )
        for version, entry in reversed(list(manifest.versions.items()))
    ]
    serving = served.serves(manifest, program.shares)
    present = incumbent(program.shares)
    warnings = hand_edit_notes(program)
    warnings += [
        code_warning(program.name, one.version, one.fit.changed) for one in versions if one.share and one.fit.changed
    ]
    return Standing(
        program.name, present, versions, serving, served.why, served.config_hash, manifest.history, warnings
    )


def _version_json(one: VersionStanding) -> dict[str, Any]:
    raw = asdict(one)
    fit = raw.pop("fit")
    return {**raw, "fits": fit["fits"], "fits_why": fit["why"], "code_changed": fit["changed"]}
