"""`t0dspy evaluate`: score one or several versions on a data set."""

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
    data: Annotated[Path, typer.Option(metavar="FILE", help="JSON lines: objects of fields, or output of `pull`.")],
    version: Annotated[
        list[str] | None, typer.Option(metavar="V", help="A version (default: the incumbent); repeatable.")
    ] = None,
    metric: Annotated[
        str | None, typer.Option(metavar="PATH", help="Such as app.metrics:grade (default: from the settings).")
    ] = None,
    direct: Annotated[bool, typer.Option("--direct", help="Call models through DSPy, without a gateway.")] = False,
    record: Annotated[
        str | None, typer.Option(metavar="METRIC", help="Send the scores to the gateway as feedback for this metric.")
    ] = None,
    threads: Annotated[int, typer.Option(metavar="N", min=1, help="Concurrent runs (default: 8).")] = 8,
    configs: options.Configs = None,
    gateway_url: options.GatewayUrl = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Score versions of NAME on a data set with your metric, and print means with 95% intervals and paired differences.

    Calls through the gateway are pinned to a version, so `pull` does not count them as production. Use this command to
    measure the effect of a new prompt form, model or code before it serves users.

    Example: t0dspy evaluate spec_to_review --data data/specs.jsonl --version v1 --version v2
    """
    from t0dspy.flywheel.extras import check_extra

    check_extra()
    from t0dspy.flywheel.evaluate.evaluate import EvaluateOptions
    from t0dspy.flywheel.evaluate.evaluate import evaluate as evaluate_versions

    asked = EvaluateOptions(tuple(version or ()), metric, direct, record, threads)
    with output.progress(quiet) as progress:
        evaluation = evaluate_versions(
            name, data, asked, configs=configs, gateway_url=gateway_url, progress=progress.show
        )
    if json:
        output.print_json(evaluation.as_json())
    elif not quiet:
        _print(evaluation)


def _describe_failures(kind: str, count: int) -> str:
    """Return the number of failures of one kind as text, such as `2 answers did not parse`."""
    if kind == "answer":
        return f"{output.count(count, 'answer')} did not parse"
    return f"{output.count(count, 'run')} failed ({kind})"


def _print(evaluation: "Evaluation") -> None:
    route = {"gateway": "through the gateway", "direct": "straight through DSPy"}[evaluation.route]
    groups = f" in {evaluation.groups:,} groups (users, episodes)" if evaluation.groups < evaluation.examples else ""
    examples = output.count(evaluation.examples, "example")
    print(f"{evaluation.name}: {evaluation.metric} on {examples}{groups}, {route}")
    for scored in evaluation.versions:
        recorded = f"  {scored.recorded:,} recorded" if scored.recorded else ""
        print(f"  {scored.version:<9} {scored.interval.mean:7.3f}  {_limits(scored.interval, '.3f')}{recorded}")
        for kind, count in scored.failed.items():
            print(f"            {_describe_failures(kind, count)}, such as: {scored.examples[kind]}")
    for pair in evaluation.differences:
        interval, label = pair.paired.interval, f"{pair.version} - {pair.against}"
        counts = f"{pair.paired.better:,} better, {pair.paired.worse:,} worse"
        confidence = f"confidence {math.floor(pair.paired.confidence * 1000) / 10:g}% that it is better"
        print(f"  {label:<9} {interval.mean:+7.3f}  {_limits(interval, '+.3f')}  {counts}; {confidence}")


def _limits(interval: "Interval", form: str) -> str:
    if interval.low is None or interval.high is None:
        return "[no interval]"
    return f"[{interval.low:{form}}, {interval.high:{form}}]"
