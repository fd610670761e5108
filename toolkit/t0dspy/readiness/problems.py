"""Find programs with traffic that cannot run, and warnings about those that can."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from t0dspy.artifact.exported import ExportedProgram, program_directories
from t0dspy.artifact.hand_edits import hand_edit_notes
from t0dspy.artifact.manifest import VersionEntry
from t0dspy.artifact.names import quoted
from t0dspy.errors import T0dspyError
from t0dspy.readiness.keys import configured_locations, missing_key


@dataclass(frozen=True)
class ServerStatus:
    """The program server's status of the versions that it runs, by `NAME/VERSION`."""

    refused: Mapping[str, str] = field(default_factory=dict)
    """Why a version cannot run."""
    changed: Mapping[str, str] = field(default_factory=dict)
    """The files whose code changed since the export."""
    known: bool = True
    """Whether the server answered; if not, nothing is known about the versions that it runs."""


@dataclass(frozen=True)
class Problems:
    """The problems of programs with traffic."""

    cannot_run: Mapping[str, str] = field(default_factory=dict)
    """Maps a program, or `NAME VERSION` if its versions differ, to the reason why it cannot run."""
    warnings: tuple[str, ...] = ()


def find_problems(configs: Path, environment: Mapping[str, str] | None, server: ServerStatus) -> Problems:
    """Find the problems of all versions with traffic.

    Args:
        configs: the directory of TensorZero's config.
        environment: the gateway's environment, to check the keys of models; None if the gateway runs elsewhere.
        server: the status of the program server.
    """
    locations = configured_locations(configs)
    cannot_run: dict[str, str] = {}
    warnings: list[str] = []
    for directory in program_directories(configs):
        try:
            program = ExportedProgram.from_directory(directory)
            shares = program.shares
        except T0dspyError as error:
            cannot_run[quoted(directory.name).strip("'")] = str(error)
            continue
        reasons = {
            version: reason
            for version in shares
            if (reason := _reason(program, version, locations, environment, server))
        }
        cannot_run |= _by_program(program.name, list(shares), reasons)
        warnings += hand_edit_notes(program, shares)
        warnings += _code_warnings(program.name, shares, server)
    return Problems(cannot_run, tuple(warnings))


def as_server_status(answer: Any) -> ServerStatus:
    """Parse the program server's answer to `/ready`; an answer of another form gives an unknown status."""
    programs = answer.get("programs") if isinstance(answer, dict) else None
    if not isinstance(programs, dict):
        return ServerStatus(known=False)
    entries = {model: entry for model, entry in programs.items() if isinstance(entry, dict)}
    refused = {model: str(entry["cannot_run"]) for model, entry in entries.items() if entry.get("cannot_run")}
    changed = {model: str(entry["code_changed"]) for model, entry in entries.items() if entry.get("code_changed")}
    return ServerStatus(refused, changed)


def code_warning(name: str, version: str, files: str) -> str:
    """Return the warning that the code in `files` changed since a version was exported."""
    return (
        f"{name} {version} runs code that is not what it was exported with: {files} changed since. t0dspy does not "
        f"change code; restore it, or check the version with `t0dspy verify {name} --version {version}`."
    )


def _code_warnings(name: str, shares: Mapping[str, float], server: ServerStatus) -> list[str]:
    changed = {version: server.changed.get(f"{name}/{version}", "") for version in shares}
    return [code_warning(name, version, files) for version, files in changed.items() if files]


def _reason(
    program: ExportedProgram,
    version: str,
    locations: Mapping[str, str],
    environment: Mapping[str, str] | None,
    server: ServerStatus,
) -> str:
    """Return why the version cannot run; empty if no reason is known."""
    if f"{version}/variant.toml" not in program.files:
        return f"{version}/variant.toml is missing"
    entry = program.manifest.versions[version]
    return server.refused.get(f"{program.name}/{version}", "") or _missing_keys(entry, locations, environment)


def _missing_keys(entry: VersionEntry, locations: Mapping[str, str], environment: Mapping[str, str] | None) -> str:
    if environment is None:
        return ""
    models = sorted({predictor.model for predictor in entry.predictors.values()})
    missing = {model: key for model in models if (key := missing_key(model, locations, environment))}
    return "; ".join(f"{key} is not set, which {model} needs" for model, key in missing.items())


def _by_program(name: str, versions: list[str], reasons: Mapping[str, str]) -> dict[str, str]:
    """Return one entry for the program if all its versions with traffic fail for one reason, else one per version."""
    if len(reasons) == len(versions) and len(set(reasons.values())) == 1:
        return {name: next(iter(reasons.values()))}
    return {f"{name} {version}": reason for version, reason in reasons.items()}
