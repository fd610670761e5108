"""The `t0dspy` command, with one module per verb. Only this package prints and decides exit codes."""

import sys
from typing import Annotated

import typer

from t0dspy.cli import (
    apply,
    evaluate,
    export,
    failures,
    feedback,
    init,
    output,
    pull,
    retrain,
    rollback,
    run,
    serve,
    streams,
    traffic,
    up,
    verify,
)
from t0dspy.cli.verb import DspyVerb, Verb

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from t0dspy import __version__

        print(f"t0dspy {__version__}")
        raise typer.Exit


@app.callback()
def t0dspy(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Take an optimized DSPy program to production on a TensorZero gateway with unchanged prompts.

    The help of each command has an example: t0dspy export --help
    """


app.command(cls=Verb, short_help="Add settings, a base config and a metric stub to a project.")(init.init)
app.command(cls=DspyVerb, short_help="Compile a DSPy program into its next version and verify it.")(export.export)
app.command(cls=Verb, short_help="Verify that the gateway sends the same requests as DSPy.")(verify.verify)
app.command(cls=DspyVerb, short_help="Run ClickHouse, the gateway and the program server on this machine.")(up.up)
app.command(cls=DspyVerb, short_help="Run the program server alone.")(serve.serve)
app.command(cls=DspyVerb, short_help="Call an exported function once.")(run.run)
app.command(cls=DspyVerb, short_help="Record feedback for an inference or an episode.")(feedback.feedback)
app.command(cls=DspyVerb, short_help="Read production inferences and their feedback as examples.")(pull.pull)
app.command(cls=DspyVerb, short_help="Score versions on a data set with your metric.")(evaluate.evaluate)
app.command(cls=DspyVerb, short_help="Optimize on production data; keep the incumbent unless it is beaten.")(
    retrain.retrain
)
app.command(cls=Verb, short_help="Show or set each version's share of the calls.")(traffic.traffic)
app.command(cls=Verb, short_help="Restore the previous incumbent.")(rollback.rollback)
app.command(cls=Verb, short_help="Apply the written config to the gateway.")(apply.apply)


def main() -> None:
    """Run the command line and exit.

    The exit code is 0 for success, 1 for an expected error, 2 for wrong usage, 3 for a bug, 4 for a wire inequality and
    130 for an interrupt. `failures` maps exceptions to these codes.
    """
    output.escape_unencodable()
    streams.keep_stdout_for_results()
    sys.exit(failures.run_command(lambda: app(prog_name="t0dspy", standalone_mode=False)))
