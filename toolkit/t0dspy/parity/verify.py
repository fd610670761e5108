"""Verify an exported version: does the gateway still send what the program sends in DSPy?"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dspy

from t0dspy import parity
from t0dspy.artifact.exported import ExportedProgram
from t0dspy.parity.report import ParityReport
from t0dspy.program.of_version import import_program, with_version


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
    exported = ExportedProgram.read(Path(configs), name)
    version = version or exported.manifest.newest or ""
    entry = exported.version(version)
    live = with_version(program if program is not None else import_program(exported), exported, version)
    subjects = parity.subjects_of(live, entry, recorded=True)
    return parity.compare(
        version, entry.form, subjects, exported.files, examples=examples, inputs=inputs, progress=progress
    )
