"""`t0dspy export`: compile a DSPy program into the next version of its gateway config."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from t0dspy.cli import options, output
from t0dspy.cli.apply import outcome

if TYPE_CHECKING:
    from t0dspy.exporting.options import Export
    from t0dspy.rollout.apply import Applied


def export(
    program: Annotated[
        str, typer.Argument(metavar="PROGRAM", help="A name from settings, or package.module:attribute.")
    ],
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="The program's name at the gateway (default: the attribute's).")
    ] = None,
    state: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A state saved with program.save('x.json').")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]MODEL",
            help="The TensorZero model, such as openai::gpt-4o-mini. If the program has several LMs: NAME=MODEL, "
            "repeatable, where NAME is a predictor, an LM such as openai/gpt-4o, or the attribute that holds it.",
        ),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PREDICTOR",
            help="A predictor or module that stays in Python, because no template can hold its prompt; repeatable.",
        ),
    ] = None,
    adapter: Annotated[
        options.Adapter | None,
        typer.Option(metavar="chat|json|xml", help="The adapter that writes the prompt (default: as optimized)."),
    ] = None,
    demos: Annotated[
        options.Demos | None,
        typer.Option(metavar="turns|system", help="Demos as chat turns, or in the system message."),
    ] = None,
    signature: Annotated[
        str | None,
        typer.Option(metavar="SIGNATURE", help="The inputs and outputs of the program, such as 'spec -> review'."),
    ] = None,
    stages_only: Annotated[bool, typer.Option("--stages-only", help="Export no program function.")] = False,
    traffic: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE", help="The new version's share, such as 0.1 (default: 0, or 1 for the first version)."
        ),
    ] = None,
    breaking: Annotated[
        bool, typer.Option("--breaking", help="If the program's inputs or outputs changed, export it as NAME_2.")
    ] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Apply the config to the gateway at once.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the changes without writing them.")] = False,
    examples: options.Examples = None,
    no_verify: Annotated[bool, typer.Option("--no-verify", help="Do not verify the prompts and runs.")] = False,
    configs: options.Configs = None,
    gateway_url: options.GatewayUrl = None,
    clickhouse_url: options.ClickhouseUrl = None,
    json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Compile PROGRAM, verify that the gateway sends the same requests as DSPy, and write the next version.

    Nothing is written if the program is unchanged. Existing versions never change. A new version gets no traffic unless
    it is the first version or --traffic gives it a share.

    Example: t0dspy export app.review:program --state optimized.json --model openai::gpt-4o-mini
    """
    from t0dspy.exporting.export import export as export_program
    from t0dspy.exporting.options import ExportOptions

    settings = options.read_settings(configs, gateway_url, clickhouse_url)
    run_apply = options.prepare_apply(settings, quiet) if apply and not dry_run else None
    all_models, models = options.parse_models(model or [])
    given = ExportOptions(
        name=name,
        state=state,
        model=all_models,
        models=models,
        keep=keep or (),
        adapter=adapter.value if adapter else None,
        demos=demos.value if demos else None,
        signature=signature,
        stages_only=stages_only,
        traffic=traffic,
        breaking=breaking,
        dry_run=dry_run,
        verify=not no_verify,
        examples=options.read_inputs(examples),
    )
    reference, given = options.with_program_settings(program, given, settings)
    with output.progress(quiet) as progress:
        result = export_program(
            reference, settings.configs_dir, given, progress=progress.show, parity_progress=progress.show_count
        )
    applied = run_apply(f"export {result.name}") if run_apply else None
    if json:
        output.print_json(_as_json(result, applied))
    elif not quiet:
        _print(result, applied, verbose=verbose)


def _print(result: "Export", applied: "Applied | None", *, verbose: bool) -> None:
    for note in result.notes:
        output.note(note)
    version = f"{result.name} {result.version}"
    if result.unchanged:
        edited = ", but its files were changed by hand" if result.hand_edited else ""
        print(f"{version} is this program already{edited}: nothing to export.")
        if applied is not None:
            print(outcome(applied))
        return
    if result.diff:
        print(result.diff)
    verb = "exported" if result.written else "would export"
    print(f"{verb} {version} to {result.directory}")
    served = {"gateway": "the gateway alone", "programs": "our program server", None: "its predictors' functions only"}
    print(f"  served by   {served[result.served_by]}")
    if result.kept:
        print(f"  in Python   {', '.join(result.kept)}")
    if result.parity is not None:
        output.print_parity(result.parity, verbose=verbose)
    else:
        print("  prompts     not verified")
    if result.runs is not None:
        output.print_runs(result.runs)
    shares = "  ".join(f"{version} {share:.0%}" for version, share in result.shares.items())
    print(
        f"  traffic     {shares or 'none'}" + ("" if result.version in result.shares else f"  ({result.version} none)")
    )
    if applied is not None:
        print(outcome(applied))
    elif result.written:
        print("written, not serving: run `t0dspy apply`.")


def _as_json(result: "Export", applied: "Applied | None") -> dict[str, Any]:
    return {
        "name": result.name,
        "version": result.version,
        "directory": str(result.directory),
        "unchanged": result.unchanged,
        "hand_edited": result.hand_edited,
        "written": result.written,
        "serving": applied is not None,
        "served_by": result.served_by,
        "kept": list(result.kept),
        "shares": dict(result.shares),
        "notes": list(result.notes),
        "diff": result.diff,
        "parity": result.parity.as_json() if result.parity else None,
        "runs": result.runs.as_json() if result.runs else None,
    }
