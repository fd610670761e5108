"""Where typer's ways are not ours: help that reads like any other tool's, and interrupts that reach `failures`."""

import re
from collections.abc import Sequence
from typing import Any

from typer.core import TyperCommand

from t0dspy.cli.failures import Stopped

_NEGATIVE = re.compile(r"-\.?\d[\d.eE+-]*")


class Verb(TyperCommand):
    """A command whose help names values by what they are, not by their Python type."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line; a negative number is a value, not an option."""
        parameters: list[Any] = self.get_params(ctx)
        # Workaround (typer 0.29): a negative number is parsed as an option; remove when an argument may start with a
        # dash and a digit.
        taking = {name for one in parameters if not getattr(one, "is_flag", True) for name in one.opts}
        return super().parse_args(ctx, with_negatives_last(args, taking))

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, BrokenPipeError) as stop:
            # Workaround (typer 0.29): typer handles KeyboardInterrupt and BrokenPipeError itself, with other exit
            # codes; remove when `standalone_mode=False` passes them on.
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


def with_negatives_last(args: Sequence[str], taking: set[str]) -> list[str]:
    """`args` with their negative numbers behind `--`, but for those that are values of the options `taking` one."""
    if "--" in args:
        return list(args)
    before = ["", *args]
    moved = [at for at, one in enumerate(args) if _NEGATIVE.fullmatch(one) and before[at] not in taking]
    stay = [one for at, one in enumerate(args) if at not in moved]
    return [*stay, "--", *(args[at] for at in moved)] if moved else stay


class DspyVerb(Verb):
    """A command that imports DSPy: an unsupported version is reported before anything else."""

    def invoke(self, ctx: Any) -> Any:
        """Check DSPy's version, then run the command."""
        from t0dspy.program.dspy_version import check_dspy

        check_dspy()
        return super().invoke(ctx)
