"""The metric over a data set, for one version or several."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from t0dspy.cli import options, output

if TYPE_CHECKING:
    from t0dspy.flywheel.evaluate.evaluate import Evaluation
    from t0dspy.flywheel.promotion.intervals import Interval


def evaluate(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An exported program.")],
    data: Annotated[Path, typer.Option(metavar="FILE", help="JSON lines: objects of fields, or lines of pull.")],
    version: Annotated[
        list[str] | None, typer.Option(metavar="V", help="A version (default: the incumbent); repeatable.")
    ] = None,
    metric: Annotated[
        str | None, typer.Option(metavar="PATH", help="Such as app.metrics:grade (default: that of the settings).")
    ] = None,
    direct: Annotated[bool, typer.Option("--direct", help="Straight through DSPy, without a gateway.")] = False,
    record: Annotated[
        str | None, typer.Option(metavar="METRIC", help="Give the scores to the gateway as this metric's feedback.")
    ] = None,
    threads: Annotated[int, typer.Option(metavar="N", min=1, help="Runs at once (default: 8).")] = 8,
    configs: options.Configs = None,
    gateway_url: options.GatewayUrl = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Score versions of NAME on a data set with your metric: means with 95% intervals, and paired differences.

    Each call through the gateway is pinned to its version, so it is no production to `pull`. This is how to measure
    what a change of prompt form, model or code costs before it serves anybody.

    Example: t0dspy evaluate spec_to_review --data data/specs.jsonl --version v1 --version v2
    """
    from t0dspy.flywheel.extras import check_extra

    check_extra()
    from t0dspy.flywheel.evaluate.evaluate import EvaluateOptions
    from t0dspy.flywheel.evaluate.evaluate import evaluate as evaluate_versions

    asked = EvaluateOptions(tuple(version or ()), metric, direct, record, threads)
    with output.progress(quiet) as progress:
        found = evaluate_versions(name, data, asked, configs=configs, gateway_url=gateway_url, progress=progress.say)
    if json:
        output.print_json(found.as_json())
    elif not quiet:
        _print(found)


def _failed(kind: str, count: int) -> str:
    """What failed how often, such as `2 answers did not parse`."""
    if kind == "answer":
        return f"{count:,} {'answer' if count == 1 else 'answers'} did not parse"
    return f"{count:,} {'run' if count == 1 else 'runs'} failed ({kind})"


def _print(found: "Evaluation") -> None:
    route = {"gateway": "through the gateway", "direct": "straight through DSPy"}[found.route]
    groups = f" in {found.groups:,} groups (users, episodes)" if found.groups < found.examples else ""
    print(f"{found.name}: {found.metric} on {found.examples:,} examples{groups}, {route}")
    for one in found.versions:
        recorded = f"  {one.recorded:,} recorded" if one.recorded else ""
        print(f"  {one.version:<9} {one.interval.mean:7.3f}  {_limits(one.interval, '.3f')}{recorded}")
        for kind, count in one.failed.items():
            print(f"            {_failed(kind, count)}, such as: {one.examples[kind]}")
    for pair in found.differences:
        at, what = pair.paired.interval, f"{pair.version} - {pair.against}"
        counts = f"{pair.paired.better:,} better, {pair.paired.worse:,} worse"
        sure = f"confidence {math.floor(pair.paired.confidence * 1000) / 10:g}% that it is better"
        print(f"  {what:<9} {at.mean:+7.3f}  {_limits(at, '+.3f')}  {counts}; {sure}")


def _limits(interval: "Interval", form: str) -> str:
    if interval.low is None or interval.high is None:
        return "[no interval]"
    return f"[{interval.low:{form}}, {interval.high:{form}}]"
