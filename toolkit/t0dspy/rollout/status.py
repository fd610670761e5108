"""The status of a program's versions: written and served shares, scores, age and fit."""

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
from t0dspy.rollout.live import JsonFallbacks, LiveScore
from t0dspy.rollout.served import Served


@dataclass(frozen=True)
class VersionStatus:
    """The status of one version."""

    version: str
    share: float
    """The written share; 0 if it has no traffic."""
    served: float | None
    """The served share; None if it is not known."""
    loaded: bool | None
    """Whether the served config has the version; None if it is not known."""
    scores: Mapping[str, Any] | None
    """The scores from the manifest."""
    live: Mapping[str, LiveScore] | None
    """Recent ratings by metric; None if they are not known."""
    fallbacks: JsonFallbacks | None
    """How often DSPy asked again for JSON; None if that is not known."""
    created: str
    age: float
    """Seconds since the export."""
    fit: Fit
    awaits_review: bool = False
    """Whether a retrain exported it without traffic and the history has no decision about it yet."""
    kept: Sequence[str] = ()
    """The paths of the predictors and modules that stay in Python."""


@dataclass(frozen=True)
class ProgramStatus:
    """The status of a program."""

    name: str
    incumbent: str | None
    versions: Sequence[VersionStatus]
    serving: bool | None
    """Whether the gateway serves the written shares; None if it is not known."""
    why: str
    """Why `serving` is not known."""
    config_hash: str | None
    history: Sequence[Change]
    warnings: Sequence[str] = ()
    """Warnings about changed code of versions with traffic, and about generated files that were edited by hand."""

    def as_json(self) -> dict[str, Any]:
        """Return the status as a JSON object."""
        return {
            "name": self.name,
            "incumbent": self.incumbent,
            "serving": self.serving,
            "why": self.why,
            "config_hash": self.config_hash,
            "versions": [_version_json(version) for version in self.versions],
            "history": [asdict(change) for change in self.history],
            "warnings": list(self.warnings),
        }


def program_status(
    program: ExportedProgram,
    served: Served,
    now: datetime,
    live: Mapping[str, Mapping[str, LiveScore]] | None = None,
    fallbacks: Mapping[str, JsonFallbacks] | None = None,
) -> ProgramStatus:
    """Return the status of `program` with its versions, newest first.

    Args:
        program: the written program.
        served: the config that the gateway serves.
        now: the current time, with a time zone.
        live: recent ratings by version and metric; None if they are not known.
        fallbacks: how often DSPy asked again for JSON, by version; None if that is not known.
    """
    manifest = program.manifest
    fits, shares = Fits(program), served.shares(manifest)
    awaiting = awaiting_review(manifest)
    versions = [
        VersionStatus(
            version,
            share=program.shares.get(version, 0.0),
            served=None if shares is None else shares.get(version, 0.0),
            loaded=served.loaded(manifest, version),
            scores=entry.scores,
            live=None if live is None else live.get(version, {}),
            fallbacks=None if fallbacks is None else fallbacks.get(version, JsonFallbacks(0, 0)),
            created=entry.created,
            age=max(0.0, (now - datetime.fromisoformat(entry.created)).total_seconds()),
            fit=fits.of(version),
            awaits_review=version in awaiting,
            kept=[path for path, predictor in entry.predictors.items() if predictor.kept],
        )
        for version, entry in reversed(list(manifest.versions.items()))
    ]
    serving = served.serves(manifest, program.shares)
    present = incumbent(program.shares)
    warnings = hand_edit_notes(program)
    warnings += [
        code_warning(program.name, version.version, version.fit.changed)
        for version in versions
        if version.share and version.fit.changed
    ]
    return ProgramStatus(
        program.name, present, versions, serving, served.why, served.config_hash, manifest.history, warnings
    )


def _version_json(version: VersionStatus) -> dict[str, Any]:
    raw = asdict(version)
    fit = raw.pop("fit")
    return {**raw, "fits": fit["fits"], "fits_why": fit["why"], "code_changed": fit["changed"]}
