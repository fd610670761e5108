"""`t0dspy rollback`: restore the previous incumbent."""

from typing import Annotated

import typer

from t0dspy.cli import options
from t0dspy.cli.traffic import print_change


def rollback(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An exported program.")],
    to: Annotated[
        str | None, typer.Option(metavar="VERSION", help="The version to restore (default: the previous incumbent).")
    ] = None,
    no_apply: Annotated[bool, typer.Option("--no-apply", help="Write the files without applying them.")] = False,
    reason: options.Reason = None,
    configs: options.Configs = None,
    gateway_url: options.GatewayUrl = None,
    clickhouse_url: options.ClickhouseUrl = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Give all traffic of NAME to its previous incumbent, and apply the config to the gateway.

    The incumbent is the version with the largest share. Each further call goes back by one incumbent. If the gateway
    refuses the config, the current shares are restored.

    Example: t0dspy rollback spec_to_review --reason 'v2 is too terse'
    """
    from t0dspy.rollout.rollout import undo

    place = options.make_place(quiet, configs, gateway_url, clickhouse_url)
    print_change(undo(place, name, to, applying=not no_apply, reason=reason), json=json, quiet=quiet)
