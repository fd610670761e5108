"""`t0dspy apply`: make the gateway serve the written config."""

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
    """Apply the written config to the gateway and wait until it serves it.

    This signals the embedded stack, restarts the gateway's compose container, or runs the command from the settings. If
    the gateway does not start with the new config, the previously served files are restored and applied, and the
    command fails.

    Example: t0dspy apply
    """
    from t0dspy.rollout.rollout import apply_all

    applied = apply_all(options.make_place(quiet, configs, gateway_url, clickhouse_url))
    if json:
        output.print_json(as_json(applied))
    elif not quiet:
        print(outcome(applied))


def outcome(applied: "Applied") -> str:
    """Return one line that describes the result of an apply."""
    serving = "serving already" if applied.unchanged else f"serving after {applied.seconds:.1f} s"
    return f"{serving}: {applied.target}, config_hash {applied.config_hash}"


def as_json(applied: "Applied") -> dict[str, Any]:
    """Return the result of an apply as a JSON object."""
    return {
        "serving": True,
        "unchanged": applied.unchanged,
        "what": applied.target,
        "config_hash": applied.config_hash,
        "seconds": round(applied.seconds, 3),
    }
