"""`t0dspy verify`: verify that the gateway sends the same requests as DSPy."""

from pathlib import Path
from typing import Annotated

import typer

from t0dspy.cli import options, output


def verify(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An exported program.")],
    version: Annotated[str | None, typer.Option(metavar="VERSION", help="Such as v2 (default: the newest).")] = None,
    examples: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Your own inputs as JSON lines: objects of fields, or output of `pull`."),
    ] = None,
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
    differs.

    Example: t0dspy verify spec_to_review --version v2 --examples data/specs.jsonl
    """
    from t0dspy import parity
    from t0dspy.errors import WireInequalityError
    from t0dspy.flywheel.split.user_lines import read_examples
    from t0dspy.parity.verify import verify as verify_version

    settings = options.read_settings(configs=configs)
    given = list(read_examples(examples)) if examples else []
    with output.progress(quiet) as progress:
        report = verify_version(
            name, version, settings.configs_dir, examples=given, inputs=inputs, progress=progress.show_count
        )
    if json:
        output.print_json(report.as_json())
    elif report.equal and not quiet:
        print(f"{name} {report.version}: the gateway sends what DSPy sends")
        output.print_parity(report, verbose=verbose)
    if not report.equal:
        raise WireInequalityError(parity.explain(report, f"{name} {report.version}"))
