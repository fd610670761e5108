"""Adapt typer's commands: plain help, negative numbers as values, and interrupts that reach `failures`."""

import re
from collections.abc import Sequence
from typing import Any

from typer.core import TyperCommand

from t0dspy.cli.failures import Stopped

_NEGATIVE = re.compile(r"-\.?\d[\d.eE+-]*")


class Verb(TyperCommand):
    """A command whose help shows metavars and no Python types."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line with negative numbers as values, not as options."""
        parameters: list[Any] = self.get_params(ctx)
        # Workaround (typer 0.29): a negative number is parsed as an option; remove when an argument may start with a
        # dash and a digit.
        options = (parameter for parameter in parameters if not getattr(parameter, "is_flag", True))
        with_value = {name for option in options for name in option.opts}
        return super().parse_args(ctx, with_negatives_last(args, with_value))

    def invoke(self, ctx: Any) -> Any:
        """Run the command; an interrupt or a broken pipe is raised as `Stopped`."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, BrokenPipeError) as stop:
            # Workaround (typer 0.29): typer handles KeyboardInterrupt and BrokenPipeError itself, with other exit
            # codes; remove when `standalone_mode=False` passes them on.
            raise Stopped from stop

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """Write the usage line, without braces around required arguments."""
        pieces = [piece.strip("{}") for piece in self.collect_usage_pieces(ctx)]
        formatter.write_usage(ctx.command_path, " ".join(pieces))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and options, each with its metavar."""
        arguments, options = [], []
        parameters: list[Any] = self.get_params(ctx)
        for parameter in parameters:
            if getattr(parameter, "hidden", False):
                continue
            if parameter.param_type_name == "argument":
                arguments.append((str(parameter.metavar), parameter.help or ""))
            else:
                value = "" if parameter.is_flag else f" {parameter.metavar}"
                options.append((", ".join(sorted(parameter.opts, key=len)) + value, parameter.help or ""))
        for title, rows in (("Arguments", arguments), ("Options", options)):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def with_negatives_last(args: Sequence[str], options: set[str]) -> list[str]:
    """Return `args` with negative numbers moved behind `--`, except for values of `options`."""
    if "--" in args:
        return list(args)
    previous = ["", *args]
    moved = [index for index, arg in enumerate(args) if _NEGATIVE.fullmatch(arg) and previous[index] not in options]
    rest = [arg for index, arg in enumerate(args) if index not in moved]
    return [*rest, "--", *(args[index] for index in moved)] if moved else rest


class DspyVerb(Verb):
    """A command that imports DSPy, so that it first checks DSPy's version."""

    def invoke(self, ctx: Any) -> Any:
        """Check DSPy's version, then run the command."""
        from t0dspy.program.dspy_version import check_dspy

        check_dspy()
        return super().invoke(ctx)
