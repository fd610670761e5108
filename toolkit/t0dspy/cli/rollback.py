"""Take the last change of incumbent back."""

from typing import Annotated

import typer

from t0dspy.cli import options
from t0dspy.cli.traffic import print_change


def rollback(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An exported program.")],
    to: Annotated[
        str | None, typer.Option(metavar="VERSION", help="The version to go back to (default: the incumbent before).")
    ] = None,
    no_apply: Annotated[bool, typer.Option("--no-apply", help="Write only; the gateway serves what it did.")] = False,
    reason: options.Reason = None,
    configs: options.Configs = None,
    gateway_url: options.GatewayUrl = None,
    clickhouse_url: options.ClickhouseUrl = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Give all traffic of NAME to the last incumbent other than the present one, and have the gateway serve that.

    The incumbent is the version with the largest share. Called again, it goes one incumbent further back. If the
    gateway does not take it, the old shares come back by themselves.

    Example: t0dspy rollback spec_to_review --reason 'v2 is too terse'
    """
    from t0dspy.rollout.rollout import undo

    place = options.place(quiet, configs, gateway_url, clickhouse_url)
    print_change(undo(place, name, to, applying=not no_apply, reason=reason), json=json, quiet=quiet)
