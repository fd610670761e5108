"""Turn exported versions into live programs: the user's code with a version's instructions and demos."""

from collections.abc import Mapping
from typing import Any

import dspy

from t0dspy.artifact.exported import ExportedProgram
from t0dspy.artifact.lms import entry_identity, identity_of
from t0dspy.artifact.manifest import PredictorEntry, VersionEntry
from t0dspy.compiler.keep import predictors_in
from t0dspy.compiler.sampling import sampling_of
from t0dspy.errors import ProgramError, StateError
from t0dspy.model import canonical
from t0dspy.program.fits import differences
from t0dspy.program.load import load_program
from t0dspy.program.state import with_state
from t0dspy.program.types import program_types


def import_program(exported: ExportedProgram) -> dspy.Module:
    """Import the code of an exported program from the import path in its manifest.

    Raises:
        ProgramError: if it was exported from a live object or cannot be imported.
    """
    if exported.manifest.program is None:
        raise ProgramError(
            f"{exported.name} was exported from a live object, so it cannot be imported. Export it once with an import "
            "path, such as `t0dspy export app.review:program`, or pass the object from Python."
        )
    return load_program(exported.manifest.program)


def input_names(exported: ExportedProgram, live: dspy.Module) -> list[str]:
    """Return the program's input fields; if only its stages were exported, the inputs that its code takes."""
    if exported.name in exported.manifest.functions:
        return list(exported.schemas(exported.name)[0]["properties"])
    return list(program_types(live, exported.name).inputs)


def with_version(live: dspy.Module, exported: ExportedProgram, version: str) -> dspy.Module:
    """Return a copy of the live program with the instructions, the demos and the predictors' own LMs of `version`.

    Raises:
        BundleError: if there is no such version, or one of its files is missing or damaged.
        ProgramError: if the code no longer fits the version.
    """
    program, entry = _with_prompts(live, exported, version), exported.version(version)
    own = {path: predict.lm for path, predict in predictors_in(live).items()}
    for path, predict in predictors_in(program).items():
        if predict.lm is not None:  # the version has it, without its address and key
            predict.lm = _own_lm(own.get(path), predict, entry.predictors.get(path), entry)
    return program


def _own_lm(own: Any, predict: dspy.Predict, stage: PredictorEntry | None, version: VersionEntry) -> Any:
    """Return the LM in the code if it is that of the version, or else a new one.

    They differ if the version was exported with a saved state, which may have LMs of its own.
    """
    saved = version.lms.get((stage.lm if stage else None) or "")
    if stage is None or saved is None:
        return own or predict.lm
    if own is not None and identity_of(own) == entry_identity(saved):
        sampling = sampling_of(own, predict.config)
        if canonical({**sampling.keys, **sampling.extra}) == canonical(dict(stage.sampling)):
            return own
    options: dict[str, Any] = {**_to_dspy(stage.sampling), "model_type": saved.type}
    if saved.address:
        options["api_base"] = saved.address
    return dspy.LM(saved.lm, **options)


def _with_prompts(live: dspy.Module, exported: ExportedProgram, version: str) -> dspy.Module:
    exported.version(version)
    name = f"{exported.name} {version}"
    try:
        program, _ = with_state(live, exported.state(version), f"{version}/state.json")
    except StateError as error:
        raise ProgramError(f"the code no longer fits {name}: {error} Export it again.") from error
    difference = differences(program, exported, version)
    if difference:
        raise ProgramError(f"the code no longer fits {name}: {difference[0]}. Export it again.")
    return program


def runnable_version(live: dspy.Module, exported: ExportedProgram, version: str) -> dspy.Module:
    """Return `with_version` with the LMs of the live program; predictors without LM get the version's sampling.

    Raises:
        BundleError: if there is no such version, or one of its files is missing or damaged.
        ProgramError: if the code no longer fits the version.
    """
    program = _with_prompts(live, exported, version)
    own = {path: predict.lm for path, predict in predictors_in(live).items()}
    entries = exported.version(version).predictors
    for path, predict in predictors_in(program).items():
        predict.lm = own.get(path)
        if predict.lm is None and path in entries:  # else it is inside a kept module
            predict.config = {**_to_dspy(entries[path].sampling), **predict.config}
    return program


def _to_dspy(sampling: Mapping[str, object]) -> dict[str, object]:
    """Return a variant's sampling keys under the names that DSPy uses."""
    return {("stop" if name == "stop_sequences" else name): value for name, value in sampling.items()}
