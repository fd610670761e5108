"""The exported programs that need Python, loaded: each version on a copy of its own, bound to the gateway."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dspy
import pydantic

from t0dspy.artifact.bundle import ROLLOUT, read_json
from t0dspy.artifact.exported import program_directories, read_program
from t0dspy.artifact.manifest import Manifest, VersionEntry
from t0dspy.artifact.rollout_toml import read_shares
from t0dspy.compiler.contract import is_only_its_predictor
from t0dspy.errors import ProgramError, RunError, T0dspyError
from t0dspy.model import Schema, Text
from t0dspy.program.fits import misfits
from t0dspy.program.load import changed_code, load_program
from t0dspy.program.state import with_state
from t0dspy.program.types import program_types
from t0dspy.runtime.deploy import bind
from t0dspy.runtime.run import Run, ServedVersion, served_version
from t0dspy.runtime.server.logs import frames, log
from t0dspy.runtime.server.messages import Offer


@dataclass(frozen=True)
class Runnable:
    """One version of a program, ready to run."""

    program: dspy.Module
    deployment: "InARun"
    served: ServedVersion
    types: Mapping[str, Any]
    """Input -> the Python type that the program's code expects."""
    outputs: Schema
    text: Text
    is_predictor: bool
    """True when the program is only its one predictor, whose text may be passed on as it is."""
    changed: str = ""
    """The files whose code is not that of the export; empty where it is."""

    def inputs(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Typed JSON arguments as the Python values that the program expects.

        Raises:
            ProgramError: a type does not take a value that the exported schema took; says which field.
        """
        return {name: self._typed(name, value) for name, value in arguments.items()}

    def _typed(self, name: str, value: Any) -> Any:
        if name not in self.types:
            return value
        try:
            return pydantic.TypeAdapter(self.types[name]).validate_python(value, by_alias=True, by_name=True)
        except pydantic.ValidationError as error:
            kinds = ", ".join(sorted({one["type"] for one in error.errors(include_input=False)}))
            raise ProgramError(f"the input {name!r} of {self.served} is not accepted by its type ({kinds}).") from None


@dataclass(frozen=True)
class Catalog:
    """What a worker can run, and what it refuses."""

    runnables: Mapping[tuple[str, str], Runnable]
    offers: Mapping[str, Offer]


class InARun:
    """Predictors of served programs are called inside a run or not at all."""

    def __init__(self, lm: dspy.LM) -> None:
        self.lm = lm

    def begin(self) -> Run:
        """Raises RunError: there is no run to be part of."""
        raise RunError(
            "a predictor was called outside of a run: in a thread that DSPy does not know, or after the run was over. "
            "Use dspy.Parallel, or start the thread with contextvars.copy_context().run."
        )


def load_catalog(configs: Path, lm: dspy.LM) -> Catalog:
    """Load every exported program that the program server serves; one that cannot be loaded is refused, by name."""
    runnables: dict[tuple[str, str], Runnable] = {}
    offers = {}
    for directory in program_directories(configs):
        try:
            manifest, files = read_program(directory)
        except T0dspyError as error:
            log("error", "program refused", program=directory.name, why=str(error))
            continue
        served = {name: one for name, one in manifest.versions.items() if one.served_by == "programs"}
        if served:
            refusals = dict(_load(manifest, files, served, lm, runnables))
            changed = {
                version: runnable.changed
                for version in served
                if (runnable := runnables.get((manifest.name, version))) is not None and runnable.changed
            }
            offers[manifest.name] = Offer(manifest.deadlines["run"], refusals, changed, _in_traffic(manifest, files))
    return Catalog(runnables, offers)


def _in_traffic(manifest: Manifest, files: Mapping[str, str]) -> list[str]:
    try:
        return list(read_shares(files.get(ROLLOUT, ""), manifest, ROLLOUT))
    except T0dspyError:  # the gateway refuses it, and goes on with the shares that it has
        return list(manifest.versions)


def _load(
    manifest: Manifest,
    files: Mapping[str, str],
    versions: Mapping[str, VersionEntry],
    lm: dspy.LM,
    runnables: dict[tuple[str, str], Runnable],
) -> Iterator[tuple[str, str]]:
    """Version -> why it is refused; what is not refused is put into `runnables`."""
    for version in versions:
        what = f"{manifest.name}/{version}"
        try:
            runnables[manifest.name, version] = _runnable(manifest, files, version, lm)
        except T0dspyError as error:
            log("error", "program refused", program=what, why=str(error))
            yield version, str(error)
        except Exception as error:
            log("error", "program refused", program=what, traceback=frames(error))
            yield version, f"loading it failed with {type(error).__name__}."
        else:
            yield version, ""


def _runnable(manifest: Manifest, files: Mapping[str, str], version: str, lm: dspy.LM) -> Runnable:
    if manifest.program is None:
        raise ProgramError("it was exported from a live object. Export it by its import path, such as app:program.")
    live = load_program(manifest.program)
    function = manifest.functions[manifest.name]
    changed = changed_code(live, manifest.program, manifest.versions[version].code_hash)
    if changed:
        log("warning", "the code changed since the export", program=f"{manifest.name}/{version}", files=changed)
    program, _ = with_state(live, read_json(files, f"{version}/state.json", manifest.name), f"{version}/state.json")
    misfit = misfits(program, manifest, version, files)
    if misfit:
        raise ProgramError(f"the code no longer fits it: {misfit[0]}. Export it again.")
    deployment = InARun(lm)
    bind(program, deployment)
    types = program_types(program, manifest.name).inputs
    outputs = read_json(files, function.output_schema, manifest.name)
    served = served_version(manifest, version)
    return Runnable(program, deployment, served, types, outputs, function.type, is_only_its_predictor(live), changed)
