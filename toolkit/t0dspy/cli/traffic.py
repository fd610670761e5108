"""`t0dspy traffic`: show or set each version's share of the calls."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from t0dspy.cli import options, output
from t0dspy.cli.apply import outcome

if TYPE_CHECKING:
    from t0dspy.artifact.manifest import Change
    from t0dspy.rollout.rollout import Changed
    from t0dspy.rollout.status import ProgramStatus, VersionStatus


def traffic(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An exported program.")],
    shares: Annotated[
        list[str] | None, typer.Argument(metavar="VERSION=SHARE", help="New shares, such as v1=0.9 v2=0.1.")
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Apply the new shares to the gateway at once.")] = False,
    reason: options.Reason = None,
    configs: options.Configs = None,
    gateway_url: options.GatewayUrl = None,
    clickhouse_url: options.ClickhouseUrl = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Show the versions of NAME with their shares, or set the shares.

    Shares must add up to 1. Versions that are not named get no traffic. A version that no longer fits the code cannot
    have a share. Without --apply the new shares are only written; `t0dspy apply` applies them to the gateway.

    Example: t0dspy traffic spec_to_review v1=0.9 v2=0.1 --apply
    """
    from t0dspy.rollout.rollout import set_traffic
    from t0dspy.rollout.shares import parse_shares

    wanted = parse_shares(shares) if shares else {}
    place = options.make_place(quiet, configs, gateway_url, clickhouse_url)
    if wanted:
        print_change(set_traffic(place, name, wanted, applying=apply, reason=reason), json=json, quiet=quiet)
        return
    if apply:
        raise typer.BadParameter("--apply needs new shares. `t0dspy apply` applies the written config.")
    status = _read_status(place, name)
    if json:
        output.print_json(status.as_json())
    elif not quiet:
        for warning in status.warnings:
            output.note(warning)
        _print_status(status)


def _read_status(place: Any, name: str) -> "ProgramStatus":
    from datetime import UTC, datetime

    from t0dspy.artifact.exported import ExportedProgram
    from t0dspy.rollout.live import read_fallbacks, read_live_scores
    from t0dspy.rollout.rollout import finish
    from t0dspy.rollout.served import read_served
    from t0dspy.rollout.status import program_status

    _ = ExportedProgram.read(place.configs, name).shares  # an unknown name or a bad rollout.toml fails first
    finish(place)
    program, now = ExportedProgram.read(place.configs, name), datetime.now(UTC)
    served = read_served(place.gateway_url, place.clickhouse_url)
    if served.config_hash is None:
        return program_status(program, served, now)
    live = read_live_scores(place.clickhouse_url, program.manifest, now)
    fallbacks = None if live is None else read_fallbacks(place.clickhouse_url, program.manifest, now)
    return program_status(program, served, now, live, fallbacks)


def print_change(changed: "Changed", *, json: bool, quiet: bool) -> None:
    """Print the result of a change of traffic: one line for the shares, one for the gateway."""
    for note in () if quiet else changed.notes:
        output.note(note)
    if json:
        output.print_json(_as_json(changed))
    elif not quiet:
        print(f"{changed.name}  {shown_shares(changed.before)}  ->  {shown_shares(changed.after)}")
        print(_outcome(changed))


def shown_shares(shares: Mapping[str, float]) -> str:
    """Return shares as text, such as `v1 90%  v2 10%`."""
    return "  ".join(f"{version} {_percent(share)}" for version, share in shares.items()) or "no traffic"


def _outcome(changed: "Changed") -> str:
    if changed.applied is None:
        return "written, not serving: run `t0dspy apply`."
    return outcome(replace(changed.applied, seconds=changed.seconds))  # includes the time for writing


def _as_json(changed: "Changed") -> dict[str, Any]:
    applied = changed.applied
    return {
        "name": changed.name,
        "before": dict(changed.before),
        "after": dict(changed.after),
        "written": changed.written,
        "serving": applied is not None,
        "config_hash": applied.config_hash if applied else None,
        "seconds": round(changed.seconds, 3),
        "notes": list(changed.notes),
    }


def _print_status(status: "ProgramStatus") -> None:
    rows: list[tuple[str, ...]] = [("", "version", "share", "served", "age", "fits", "scores", "live", "asked again")]
    rows += [_row(version, version.version == status.incumbent) for version in status.versions]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print(f"{status.name}: {_headline(status)}")
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print("* the incumbent: the largest written share")
    if any(version.fallbacks and version.fallbacks.repeated for version in status.versions):
        print("asked again: calls of a predictor whose answer DSPy could not parse, so that it asked for JSON")
    for version in status.versions:
        if version.kept:
            print(f"{version.version} runs in Python: {', '.join(version.kept)}")
    for change in status.history[-5:]:
        print(f"  {change.time}  {_step(change)}  {change.reason}")


def _headline(status: "ProgramStatus") -> str:
    if status.serving is None:
        return f"written; the served config is not known: {status.why}"
    return "serving what is written" if status.serving else "written, not serving: run `t0dspy apply`"


def _row(version: "VersionStatus", is_incumbent: bool) -> tuple[str, ...]:
    unserved = {None: "?", 0.0: "not loaded" if version.loaded is False else "-"}
    served = unserved.get(version.served) or _percent(version.served or 0)
    fits = {
        True: "yes, code changed" if version.fit.changed else "yes",
        False: f"no: {version.fit.why}",
        None: f"? {version.fit.why}",
    }[version.fit.fits]
    share = "awaits review" if version.awaits_review else _percent(version.share) if version.share else "-"
    scores = "  ".join(_score(name, value) for name, value in (version.scores or {}).items()) or "-"
    live = "  ".join(f"{name} {score.mean:.3g} ({score.count:,})" for name, score in (version.live or {}).items())
    again = "-"
    if version.fallbacks is not None and version.fallbacks.calls:
        again = f"{version.fallbacks.repeated:,} of {version.fallbacks.calls:,}"
    first = "*" if is_incumbent else ""
    return first, version.version, share, served, _age(version.age), fits, scores, live or "-", again


def _step(change: "Change") -> str:
    return f"{shown_shares(change.before)} -> {shown_shares(change.after)}"


def _percent(share: float) -> str:
    return f"{share * 100:.4g}%"


def _score(name: str, value: Any) -> str:
    """Return a score as text: its name and number, and the incumbent's number if it was scored too.

    A manifest's `scores` may also hold texts, such as the metric's name, which are returned as they are.
    """
    if not isinstance(value, Mapping):
        return f"{name} {value:.3g}" if isinstance(value, int | float) else str(value)
    score = next((value[key] for key in ("challenger", "score", "mean") if value.get(key) is not None), None)
    incumbent = value.get("incumbent")
    compared = f" (was {incumbent:.3g})" if isinstance(incumbent, int | float) else ""
    return f"{name} {score:.3g}{compared}" if isinstance(score, int | float) else name


def _age(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
