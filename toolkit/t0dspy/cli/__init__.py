"""The `t0dspy` command: one file per verb; the only place that prints and that decides exit codes."""

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
    """Take an optimized DSPy program to production on a TensorZero gateway, prompt for prompt.

    Each command's own help has an example: t0dspy export --help
    """


app.command(cls=Verb, short_help="Write what a project needs: settings, a config, a metric stub.")(init.init)
app.command(cls=DspyVerb, short_help="Compile a DSPy program into its next version, with proof.")(export.export)
app.command(cls=DspyVerb, short_help="Prove that the gateway sends what DSPy sends.")(verify.verify)
app.command(cls=DspyVerb, short_help="Serve the configs here: ClickHouse, the gateway and the program server.")(up.up)
app.command(cls=DspyVerb, short_help="Run the exported programs that need Python, for the gateway.")(serve.serve)
app.command(cls=DspyVerb, short_help="Call an exported function once.")(run.run)
app.command(cls=DspyVerb, short_help="Say what an answer was worth.")(feedback.feedback)
app.command(cls=DspyVerb, short_help="Read what production said, as examples.")(pull.pull)
app.command(cls=DspyVerb, short_help="Score versions on a data set with your metric.")(evaluate.evaluate)
app.command(cls=DspyVerb, short_help="Learn from production; beat the incumbent or keep it.")(retrain.retrain)
app.command(cls=Verb, short_help="Show or set which version answers what share of the calls.")(traffic.traffic)
app.command(cls=Verb, short_help="Take the last change of incumbent back, at once.")(rollback.rollback)
app.command(cls=Verb, short_help="Make the gateway serve what is written.")(apply.apply)


def main() -> None:
    """Run the command line and exit: 0 fine, 1 expected error, 2 wrong usage, 3 a bug, 4 wire inequality, 130 stopped.

    See `failures` for how an exception becomes one of these.
    """
    output.speak_any_unicode()
    streams.keep_stdout_for_results()
    sys.exit(failures.exit_code_of(lambda: app(prog_name="t0dspy", standalone_mode=False)))
