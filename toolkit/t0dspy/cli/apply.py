"""Make the gateway serve what is written."""

from typing import TYPE_CHECKING, Any

from t0dspy.cli import options, output

if TYPE_CHECKING:
    from t0dspy.rollout.apply import Applied


def apply(
    configs: options.Configs = None,
    gateway_url: options.GatewayUrl = None,
    clickhouse_url: options.ClickhouseUrl = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Make the gateway serve what is written, and wait until it does.

    Signals the embedded stack, restarts the gateway's container of compose, or runs the command from the settings. If
    the gateway does not come up with it, the files that served last are put back and applied, and this says so.

    Example: t0dspy apply
    """
    from t0dspy.rollout.rollout import apply_all

    applied = apply_all(options.place(quiet, configs, gateway_url, clickhouse_url))
    if json:
        output.print_json(as_json(applied))
    elif not quiet:
        print(outcome(applied))


def outcome(applied: "Applied") -> str:
    """What an apply did, in a line."""
    serving = "serving already" if applied.unchanged else f"serving after {applied.seconds:.1f} s"
    return f"{serving}: {applied.what}, config_hash {applied.config_hash}"


def as_json(applied: "Applied") -> dict[str, Any]:
    """The same for programs."""
    return {
        "serving": True,
        "unchanged": applied.unchanged,
        "what": applied.what,
        "config_hash": applied.config_hash,
        "seconds": round(applied.seconds, 3),
    }
