"""Prove run equality for a version: the whole program in DSPy and served, on the same inputs and answers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dspy

from t0dspy.artifact.exported import ExportedProgram
from t0dspy.parity.run_equality import EXPORT_KINDS, compare_runs
from t0dspy.parity.run_inputs import generated_inputs, given_inputs
from t0dspy.parity.run_report import RunReport
from t0dspy.parity.runs import Plain, bench
from t0dspy.parity.scripts import KINDS
from t0dspy.parity.served import deployed
from t0dspy.transport.adapter import settings_for
from t0dspy.transport.default_lm import default_lm

AT_EXPORT = 2
"""The number of inputs with which an export runs the program."""

GENERATED = 8
"""The number of generated inputs of a full proof that fit their types."""


def prove_runs(
    program: dspy.Module,
    exported: ExportedProgram,
    version: str,
    *,
    examples: Sequence[Mapping[str, Any]] = (),
    full: bool = False,
    progress: Callable[[str], None] = lambda text: None,
) -> RunReport:
    """Run the program in DSPy and served, and compare requests and outcomes. This executes the program's code.

    Tools and retrievers are called once and replayed. No provider is called.

    Args:
        program: the live program with the state of the version.
        exported: the exported program; its files need not be on disk.
        version: the version.
        examples: inputs of the program, flat objects of fields.
        full: whether to use all examples, generated inputs, and all kinds of answers at each stage.
        progress: called with a line of text.

    Returns:
        The report; `skipped` says why the program was not run.

    Raises:
        GatewayError: if TensorZero rejects the config.
    """
    inputs = given_inputs(program, exported, version, examples, len(examples) + AT_EXPORT if full else AT_EXPORT)
    if full:
        inputs += generated_inputs(program, exported, version, GENERATED)
    if exported.version(version).served_by is None:
        return RunReport(skipped="only its stages are exported")
    if not inputs:
        return RunReport(skipped="no demo has all inputs of the program; pass --examples FILE")
    with bench(program) as runs, deployed(program, exported, version, runs.upstream_url) as served:
        entry = exported.version(version)
        plain = Plain({path: default_lm(entry.lms, stage) for path, stage in entry.predictors.items()})
        report = RunReport()
        settings = settings_for(served.deployment.served)  # the export may have chosen another adapter
        for number, given in enumerate(inputs, 1):
            progress(f"running the program in DSPy and served: input {number} of {len(inputs)}")
            with dspy.context(**settings):
                compared = compare_runs(runs, plain, served, [given], KINDS if full else EXPORT_KINDS, stages=full)
            report = report.plus(compared)
        return report
