"""Verify an exported version: does the gateway still send what the program sends in DSPy?"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dspy

from t0dspy import parity
from t0dspy.artifact.bundle import read_json
from t0dspy.artifact.exported import program_directory, read_program
from t0dspy.artifact.manifest import Manifest
from t0dspy.errors import BundleError, ProgramError, StateError
from t0dspy.parity.report import ParityReport
from t0dspy.program.fits import misfits
from t0dspy.program.load import load_program
from t0dspy.program.state import with_state


def verify(
    name: str,
    version: str | None = None,
    configs: Path | str = "configs",
    *,
    program: dspy.Module | None = None,
    examples: Sequence[dict[str, Any]] = (),
    inputs: int = parity.INPUTS,
    progress: Callable[[str, int], None] = lambda path, count: None,
) -> ParityReport:
    """Compare what DSPy and the gateway would send a provider, for every predictor of an exported version.

    Needs no key, no Docker and no database.

    Args:
        name: the exported program.
        version: such as `v2`; the newest by default.
        configs: the directory of TensorZero's config.
        program: the live program; by default it is imported as the manifest says.
        examples: inputs of your own, flat objects of fields.
        inputs: how many generated inputs each predictor gets, besides extremes, demos and examples.
        progress: called with a predictor's path and the number of inputs done.

    Returns:
        The report; `equal` says whether anything differed.

    Raises:
        BundleError: there is no such program or version.
        ProgramError: the program cannot be imported, or its code no longer fits the version.
        GatewayError: TensorZero refuses the config.
    """
    directory = program_directory(Path(configs), name)
    manifest, files = read_program(directory)
    version = version or manifest.newest or ""
    if version not in manifest.versions:
        raise BundleError(f"{name} has no version {version!r}; there are {', '.join(manifest.versions) or 'none'}.")
    live = program if program is not None else _imported(manifest)
    state = read_json(files, f"{version}/state.json", name)
    live = _fitting(live, manifest, version, state, files)
    subjects = parity.subjects_of(live, manifest.versions[version], recorded=True)
    form = manifest.versions[version].form
    return parity.compare(version, form, subjects, files, examples=examples, inputs=inputs, progress=progress)


def _imported(manifest: Manifest) -> dspy.Module:
    if manifest.program is None:
        raise ProgramError(
            f"{manifest.name} was exported from a live object, so it cannot be imported. Verify it from Python: "
            "t0dspy.verify(name, program=...)."
        )
    return load_program(manifest.program)


def _fitting(
    live: dspy.Module, manifest: Manifest, version: str, state: dict[str, Any], files: dict[str, str]
) -> dspy.Module:
    what = f"{manifest.name} {version}"
    try:
        live, _ = with_state(live, state, f"{version}/state.json")
    except StateError as error:
        raise ProgramError(f"the code no longer fits {what}: {error} Export it again.") from error
    misfit = misfits(live, manifest, version, files)
    if misfit:
        raise ProgramError(f"the code no longer fits {what}: {misfit[0]}. Export it again.")
    return live
