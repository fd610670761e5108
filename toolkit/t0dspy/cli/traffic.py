"""Show or set which version of a program answers what share of the calls."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from t0dspy.cli import options, output
from t0dspy.cli.apply import outcome

if TYPE_CHECKING:
    from t0dspy.artifact.manifest import Change
    from t0dspy.rollout.rollout import Changed
    from t0dspy.rollout.status import Standing, VersionStanding


def traffic(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An exported program.")],
    shares: Annotated[
        list[str] | None, typer.Argument(metavar="VERSION=SHARE", help="New shares, such as v1=0.9 v2=0.1.")
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Have the gateway serve them at once.")] = False,
    reason: options.Reason = None,
    configs: options.Configs = None,
    gateway_url: options.GatewayUrl = None,
    clickhouse_url: options.ClickhouseUrl = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Show the versions of NAME with their shares, or set the shares.

    Shares add up to 1, and versions that are not named get none. A version that the code no longer fits may hold none.
    Without --apply the new shares are written only; `t0dspy apply` has the gateway serve them.

    Example: t0dspy traffic spec_to_review v1=0.9 v2=0.1 --apply
    """
    from t0dspy.rollout.rollout import set_traffic
    from t0dspy.rollout.shares import parse_shares

    wanted = parse_shares(shares) if shares else {}
    place = options.place(quiet, configs, gateway_url, clickhouse_url)
    if wanted:
        print_change(set_traffic(place, name, wanted, applying=apply, reason=reason), json=json, quiet=quiet)
        return
    if apply:
        raise typer.BadParameter("--apply goes with new shares. `t0dspy apply` applies what is written.")
    shown = _looked_at(place, name)
    if json:
        output.print_json(shown.as_json())
    elif not quiet:
        for warning in shown.warnings:
            output.note(warning)
        _print_standing(shown)


def _looked_at(place: Any, name: str) -> "Standing":
    from datetime import UTC, datetime

    from t0dspy.artifact.exported import ExportedProgram
    from t0dspy.rollout.live import read_live_scores
    from t0dspy.rollout.rollout import finish
    from t0dspy.rollout.served import look
    from t0dspy.rollout.status import standing

    _ = ExportedProgram.read(place.configs, name).shares  # errors of the name and of rollout.toml come first
    finish(place)
    program, now = ExportedProgram.read(place.configs, name), datetime.now(UTC)
    served = look(place.gateway_url, place.clickhouse_url)
    live = None if served.config_hash is None else read_live_scores(place.clickhouse_url, program.manifest, now)
    return standing(program, served, now, live)


def print_change(changed: "Changed", *, json: bool, quiet: bool) -> None:
    """What a change of traffic did: a line for the shares, a line for the gateway."""
    for note in () if quiet else changed.notes:
        output.note(note)
    if json:
        output.print_json(_as_json(changed))
    elif not quiet:
        print(f"{changed.name}  {shown_shares(changed.before)}  ->  {shown_shares(changed.after)}")
        print(_outcome(changed))


def shown_shares(shares: Mapping[str, float]) -> str:
    """Shares in a few words."""
    return "  ".join(f"{version} {_percent(share)}" for version, share in shares.items()) or "no traffic"


def _outcome(changed: "Changed") -> str:
    if changed.applied is None:
        return "written, not serving: `t0dspy apply` has the gateway serve it."
    return outcome(replace(changed.applied, seconds=changed.seconds))  # with the time that writing took


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


def _print_standing(shown: "Standing") -> None:
    rows: list[tuple[str, ...]] = [("", "version", "share", "served", "age", "fits", "scores", "live")]
    rows += [_row(one, one.version == shown.incumbent) for one in shown.versions]
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    print(f"{shown.name}: {_headline(shown)}")
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print("* the incumbent: the largest share as written")
    for change in shown.history[-5:]:
        print(f"  {change.time}  {_step(change)}  {change.reason}")


def _headline(shown: "Standing") -> str:
    if shown.serving is None:
        return f"written; what is served is not known: {shown.why}"
    return (
        "serving what is written" if shown.serving else "written, not serving: `t0dspy apply` has the gateway serve it"
    )


def _row(one: "VersionStanding", is_incumbent: bool) -> tuple[str, ...]:
    served = {None: "?", 0.0: "not loaded" if one.loaded is False else "-"}.get(one.served) or _percent(one.served or 0)
    fits = {
        True: "yes, code changed" if one.fit.changed else "yes",
        False: f"no: {one.fit.why}",
        None: f"? {one.fit.why}",
    }[one.fit.fits]
    share = "awaits review" if one.awaits_review else _percent(one.share) if one.share else "-"
    scores = "  ".join(_score(name, value) for name, value in (one.scores or {}).items()) or "-"
    live = "  ".join(f"{name} {score.mean:.3g} ({score.count:,})" for name, score in (one.live or {}).items()) or "-"
    return "*" if is_incumbent else "", one.version, share, served, _age(one.age), fits, scores, live


def _step(change: "Change") -> str:
    return f"{shown_shares(change.before)} -> {shown_shares(change.after)}"


def _percent(share: float) -> str:
    return f"{share * 100:.4g}%"


def _score(name: str, value: Any) -> str:
    """A number under its name, beside the incumbent's where that was scored too; a text, such as the metric's name."""
    if not isinstance(value, Mapping):
        return f"{name} {value:.3g}" if isinstance(value, int | float) else str(value)
    own = next((value[key] for key in ("challenger", "score", "mean") if value.get(key) is not None), None)
    before = value.get("incumbent")
    compared = f" (was {before:.3g})" if isinstance(before, int | float) else ""
    return f"{name} {own:.3g}{compared}" if isinstance(own, int | float) else name


def _age(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
