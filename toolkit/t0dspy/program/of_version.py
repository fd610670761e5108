"""Turn exported versions into live programs: the user's code with a version's instructions and demos."""

from collections.abc import Mapping

import dspy

from t0dspy.artifact.exported import ExportedProgram
from t0dspy.errors import ProgramError, StateError
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
    """Return a copy of the live program with the instructions and demos of `version`.

    Raises:
        BundleError: if there is no such version, or one of its files is missing or damaged.
        ProgramError: if the code no longer fits the version.
    """
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
    program = with_version(live, exported, version)
    models = {path: predict.lm for path, predict in live.named_predictors()}
    entries = exported.version(version).predictors
    for path, predict in program.named_predictors():
        predict.lm = predict.lm or models[path]
        if predict.lm is None:
            predict.config = {**_to_dspy(entries[path].sampling), **predict.config}
    return program


def _to_dspy(sampling: Mapping[str, object]) -> dict[str, object]:
    """Return a variant's sampling keys under the names that DSPy uses."""
    return {("stop" if name == "stop_sequences" else name): value for name, value in sampling.items()}
