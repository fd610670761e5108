"""`t0dspy verify`: verify that the gateway sends the same requests as DSPy."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from t0dspy.cli import options, output

if TYPE_CHECKING:
    from t0dspy.parity.run_report import RunReport


def verify(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An exported program.")],
    version: Annotated[str | None, typer.Option(metavar="VERSION", help="Such as v2 (default: the newest).")] = None,
    examples: options.Examples = None,
    full: Annotated[
        bool,
        typer.Option("--full", help="Also run the whole program in DSPy and served, which executes its code."),
    ] = False,
    inputs: Annotated[
        int, typer.Option(min=1, metavar="N", help="Generated inputs for each predictor (default: 200).")
    ] = 200,
    configs: options.Configs = None,
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Compare the request that DSPy sends with the request that the gateway sends, for each predictor of NAME.

    Both requests go to a local recorder, so no API key and no database is needed. The comparison does not cover how
    TensorZero translates a request for a provider without an OpenAI-compatible API. The exit code is 4 if any request
    differs. After an upgrade of DSPy, the command shows first which messages the new DSPy writes differently.

    Example: t0dspy verify spec_to_review --version v2 --examples data/specs.jsonl
    """
    from t0dspy.program.dspy_version import check_dspy

    settings = options.read_settings(configs=configs)
    if _is_other_dspy(name, version, settings.configs_dir, quiet=quiet):
        return
    check_dspy()
    from t0dspy import parity
    from t0dspy.errors import RunInequalityError, WireInequalityError
    from t0dspy.parity.run_report import explain_runs
    from t0dspy.parity.verify import verify as verify_version

    given = options.read_inputs(examples)
    with output.progress(quiet) as progress:
        report = verify_version(
            name, version, settings.configs_dir, examples=given, inputs=inputs, progress=progress.show_count
        )
        runs = _run_program(name, report.version, settings.configs_dir, given, progress.show) if full else None
    if json:
        output.print_json({**report.as_json(), **({"runs": runs.as_json()} if runs else {})})
    elif report.equal and not quiet:
        print(f"{name} {report.version}: the gateway sends what DSPy sends")
        output.print_parity(report, verbose=verbose)
        if runs is not None and runs.equal:
            output.print_runs(runs)
    if not report.equal:
        raise WireInequalityError(parity.explain(report, f"{name} {report.version}"))
    if runs is not None and not runs.equal:
        raise RunInequalityError(explain_runs(runs, f"{name} {report.version}"))


def _run_program(
    name: str, version: str, configs: Path, examples: list[dict[str, Any]], progress: Callable[[str], None]
) -> "RunReport":
    from t0dspy.artifact.exported import ExportedProgram
    from t0dspy.parity.prove_runs import prove_runs
    from t0dspy.program.of_version import import_program, with_version

    exported = ExportedProgram.read(configs, name)
    program = with_version(import_program(exported), exported, version)
    return prove_runs(program, exported, version, examples=examples, full=True, progress=progress)


def _is_other_dspy(name: str, version: str | None, configs: Path, *, quiet: bool) -> bool:
    """Compare the prompts with those of the installed DSPy if another DSPy wrote them.

    Returns:
        Whether the installed DSPy is one that t0dspy can compare prompts with, but cannot serve.

    Raises:
        WireInequalityError: it writes other messages.
    """
    from t0dspy.artifact.exported import ExportedProgram
    from t0dspy.errors import WireInequalityError
    from t0dspy.program.dspy_version import installed_dspy, is_same_minor

    exported = ExportedProgram.read(configs, name)
    version = version or exported.manifest.newest or ""
    written, installed = exported.version(version).dspy, installed_dspy() or ""
    if written == installed:
        return False
    try:
        from t0dspy.program.of_version import import_program, with_version
        from t0dspy.program.prompt_changes import explain_changes, prompt_changes
    except ImportError:  # a DSPy that is too old or too new for the comparison, which `check_dspy` explains
        return False
    program = with_version(import_program(exported), exported, version)
    changes = prompt_changes(exported, version, program)
    if changes:
        raise WireInequalityError(explain_changes(exported, version, changes))
    if not quiet:
        print(f"{name} {version}: DSPy {installed} writes the same messages as DSPy {written}, which exported it")
    return not is_same_minor(written, installed)
