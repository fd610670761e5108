"""The `t0dspy` command: one file per verb; the only place that prints and that decides exit codes."""

import sys

import typer

from t0dspy.cli import export, failures, feedback, run, serve, verify
from t0dspy.cli.up import up

app = typer.Typer(
    help="Take an optimized DSPy program to production on a TensorZero gateway, and keep learning from what it sees.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback()
def t0dspy() -> None:
    """Take an optimized DSPy program to production on a TensorZero gateway, and keep learning from what it sees."""


app.command()(export.export)
app.command()(verify.verify)
app.command()(up)
app.command()(serve.serve)
app.command()(run.run)
app.command()(feedback.feedback)


def main() -> None:
    """Run the command line and exit: 0 fine, 1 expected error, 2 wrong usage, 3 a bug, 4 wire inequality, 130 stopped.

    See `failures` for how an exception becomes one of these.
    """
    sys.exit(failures.exit_code_of(lambda: app(standalone_mode=False)))
