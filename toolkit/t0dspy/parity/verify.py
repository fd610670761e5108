"""Verify that the gateway sends what an exported program sends in DSPy."""

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
    """Compare the requests that DSPy and the gateway send to a provider, for each predictor of an exported version.

    This needs no API key, Docker or database.

    Args:
        name: the name of the exported program.
        version: the version, such as `v2`; the newest by default.
        configs: the directory of TensorZero's config.
        program: the live program; by default the import path in the manifest is used.
        examples: additional inputs, flat objects of fields.
        inputs: the number of generated inputs per predictor, in addition to extreme values, demos and examples.
        progress: called with a predictor's path and the number of compared inputs.

    Returns:
        The report; its `equal` is True if nothing differed.

    Raises:
        BundleError: if there is no such program or version.
        ProgramError: if the program cannot be imported, or its code no longer fits the version.
        GatewayError: if TensorZero rejects the config.
    """
    exported = ExportedProgram.read(Path(configs), name)
    version = version or exported.manifest.newest or ""
    live = with_version(program if program is not None else import_program(exported), exported, version)
    return parity.compare(live, exported, version, examples=examples, inputs=inputs, progress=progress)
