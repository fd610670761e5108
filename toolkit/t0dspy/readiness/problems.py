"""Programs in traffic that cannot run, and what is worth a warning about those that can."""

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
    """What the program server says of the versions that it runs, by `NAME/VERSION`."""

    refused: Mapping[str, str] = field(default_factory=dict)
    """Why a version cannot be run."""
    changed: Mapping[str, str] = field(default_factory=dict)
    """The files whose code is not that of the export."""
    known: bool = True
    """False when the server did not answer, so that nothing is known of the versions that it runs."""


@dataclass(frozen=True)
class Problems:
    """The programs in traffic, looked at."""

    cannot_run: Mapping[str, str] = field(default_factory=dict)
    """Program, or `NAME VERSION` where its versions differ -> why it cannot run."""
    warnings: tuple[str, ...] = ()


def find_problems(configs: Path, environment: Mapping[str, str] | None, server: ServerStatus) -> Problems:
    """Look at every version that has traffic.

    Args:
        configs: the directory of TensorZero's config.
        environment: the gateway's environment, for the keys of models; None where it is another machine's.
        server: what the program server says.
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
    """Read the program server's answer to `/ready`; of an unknown shape nothing is known."""
    programs = answer.get("programs") if isinstance(answer, dict) else None
    if not isinstance(programs, dict):
        return ServerStatus(known=False)
    entries = {model: entry for model, entry in programs.items() if isinstance(entry, dict)}
    refused = {model: str(entry["cannot_run"]) for model, entry in entries.items() if entry.get("cannot_run")}
    changed = {model: str(entry["code_changed"]) for model, entry in entries.items() if entry.get("code_changed")}
    return ServerStatus(refused, changed)


def code_warning(name: str, version: str, files: str) -> str:
    """Return the warning that a version runs other code than that it was exported with, which is in `files`."""
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
    """Why the version cannot run; empty if nothing is known against it."""
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
    """One entry for the program where all its versions in traffic fail for one reason, else one for each."""
    if len(reasons) == len(versions) and len(set(reasons.values())) == 1:
        return {name: next(iter(reasons.values()))}
    return {f"{name} {version}": reason for version, reason in reasons.items()}
