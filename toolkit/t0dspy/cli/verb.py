"""Where typer's ways are not ours: help that reads like any other tool's, and interrupts that reach `failures`."""

from typing import Any

from typer.core import TyperCommand

from t0dspy.cli.failures import Stopped


class Verb(TyperCommand):
    """A command whose help names values by what they are, not by their Python type."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, BrokenPipeError) as stop:
            raise Stopped from stop

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """The usage line, without braces around what is required."""
        pieces = [piece.strip("{}") for piece in self.collect_usage_pieces(ctx)]
        formatter.write_usage(ctx.command_path, " ".join(pieces))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments and options, each with its metavar."""
        arguments, options = [], []
        parameters: list[Any] = self.get_params(ctx)
        for parameter in parameters:
            if parameter.param_type_name == "argument":
                arguments.append((str(parameter.metavar), parameter.help or ""))
            else:
                value = "" if parameter.is_flag else f" {parameter.metavar}"
                options.append((", ".join(sorted(parameter.opts, key=len)) + value, parameter.help or ""))
        for title, rows in (("Arguments", arguments), ("Options", options)):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
