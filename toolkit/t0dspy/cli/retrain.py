"""`t0dspy retrain`: optimize on production data, and promote a version that beats the incumbent."""

import sys
from collections import Counter
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from t0dspy.cli import options, output
from t0dspy.cli.apply import outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from t0dspy.flywheel.retrain.results import Retrained, RetrainOptions
    from t0dspy.rollout.apply import Applied
    from t0dspy.settings import Settings


class Optimizer(StrEnum):
    """Values of `--optimizer`."""

    miprov2 = "miprov2"
    gepa = "gepa"


class Auto(StrEnum):
    """Values of `--auto`."""

    light = "light"
    medium = "medium"
    heavy = "heavy"


def retrain(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Programs (default: all with a metric).")
    ] = None,
    window: Annotated[str, typer.Option(metavar="LENGTH", help="Length of the window: 45m, 12h, 30d or 4w.")] = "30d",
    optimizer: Annotated[
        Optimizer,
        typer.Option(metavar="miprov2|gepa", help="The optimizer; only gepa uses comments (default: miprov2)."),
    ] = Optimizer.miprov2,
    auto: Annotated[
        Auto, typer.Option(metavar="light|medium|heavy", help="Length of the search (default: light).")
    ] = Auto.light,
    traffic: Annotated[
        float, typer.Option(metavar="SHARE", help="A winner's share of the calls (default: 0.1).")
    ] = 0.1,
    canary: Annotated[float | None, typer.Option(metavar="SHARE", hidden=True, help="Same as --traffic.")] = None,
    max_calls: Annotated[
        int | None,
        typer.Option(metavar="N", help="Limit of model calls; the search then ends with its best candidate."),
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option(metavar="USD", help="The same limit in USD; needs `prices`.")
    ] = None,
    stage: Annotated[str | None, typer.Option(metavar="P", help="Optimize only this predictor.")] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=1, help="Seed of all random choices (default: 9).")] = 9,
    threads: Annotated[int, typer.Option(metavar="N", min=1, help="Concurrent runs (default: 8).")] = 8,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the last run if it was interrupted.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Run even if a candidate is undecided; a winner gets its traffic.")
    ] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Apply a winner to the gateway at once.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Pull, curate, and print the plan with its cost; write nothing.")
    ] = False,
    review: Annotated[
        bool | None,
        typer.Option(
            "--review/--no-review", help="Give a winner no traffic until a person approves it (default: settings)."
        ),
    ] = None,
    no_verify: Annotated[bool, typer.Option("--no-verify", help="Do not verify the prompts.")] = False,
    configs: options.Configs = None,
    gateway_url: options.GatewayUrl = None,
    clickhouse_url: options.ClickhouseUrl = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Optimize programs on production data, and export a version that beats the incumbent on unseen examples.

    The incumbent stays, and the exit code is 0, if there is too little or no new data, if no candidate is better, or if
    an earlier winner is still undecided. A killed run leaves the configs unchanged. Each run writes report.html and
    report.json to .t0dspy/retrain/NAME/runs. With --quiet only a promotion prints a line, so that cron sends a mail for
    it.

    Example: t0dspy retrain --window 30d --apply --max-calls 2000 --quiet
    """
    from t0dspy.flywheel.extras import check_extra

    check_extra()
    from t0dspy.flywheel.retrain.results import RetrainOptions

    settings = options.read_settings(configs, gateway_url, clickhouse_url)
    asked = RetrainOptions(
        window=window,
        optimizer=optimizer.value,
        auto=auto.value,
        traffic=traffic,
        canary=canary,
        replace=replace,
        max_calls=max_calls,
        max_cost=max_cost,
        stage=stage,
        seed=seed,
        threads=threads,
        resume=resume,
        dry_run=dry_run,
        verify=not no_verify,
        review=review,
    )
    with output.progress(quiet) as progress:
        prepare_apply = partial(options.prepare_apply, settings, quiet) if apply and not dry_run else None
        results = _retrain_each(list(names or ()), asked, settings, progress, prepare_apply)
    if json:
        from t0dspy.flywheel.retrain.report import as_json

        output.print_json([{**as_json(result), "serving": applied is not None} for result, applied in results])
    elif quiet:
        for result, applied in results:
            _print_promotion(result, applied)
    else:
        for result, applied in results:
            _print(result, applied)


def _retrain_each(
    names: list[str],
    asked: "RetrainOptions",
    settings: "Settings",
    progress: output.Progress,
    prepare_apply: "Callable[[], Callable[[str], Applied]] | None",
) -> "list[tuple[Retrained, Applied | None]]":
    """Retrain the programs one after the other; print the error of a program that fails, and continue with the next.

    Raises:
        RetrainError: a program failed; raised after the last program.
        SettingsError: no program was named, and none has a metric.
        T0dspyError: the only program failed.
    """
    from t0dspy.errors import RetrainError, SettingsError, T0dspyError
    from t0dspy.flywheel.retrain.retrain import retrain as retrain_one
    from t0dspy.flywheel.retrain.retrain import retrainable_programs

    names = names or retrainable_programs(settings)
    if not names:
        file = settings.file or "no settings file"
        raise SettingsError(f"{file}: no program has a `metric`, so there is nothing to retrain.")
    results, failed = [], []
    for name in names:
        try:
            context: dict[str, Any] = {
                "configs": settings.configs_dir,
                "clickhouse_url": settings.clickhouse_url.value,
                "progress": progress.show,
            }
            apply = prepare_apply() if prepare_apply else None  # fails before any model call if there is no gateway
            result = retrain_one(name, asked, **context)
            won = result.export is not None and (result.export.written or result.resumed)
            results.append((result, apply(f"retrain {name}") if apply and won else None))
        except T0dspyError as error:
            if len(names) == 1:
                raise
            print(f"t0dspy: {name}: {error}", file=sys.stderr)
            failed.append(name)
    if failed:
        raise RetrainError(f"{len(failed)} of {len(names)} programs could not be retrained: {', '.join(failed)}.")
    return results


def _print(result: "Retrained", applied: "Applied | None") -> None:
    for note in result.notes:
        output.note(note)
    gathered = result.gathered
    print(f"{result.name}: {_headline(result)}")
    print(f"  {result.reason}.")
    if result.outcome == "undecided":
        return
    sizes = [len(examples) for examples in (gathered.train, gathered.validation, gathered.holdout)]
    sets = "{:,} train, {:,} validation, {:,} holdout".format(*sizes)
    print(f"  examples    {gathered.pulled:,} pulled: {sets}")
    if gathered.dropped:
        most = sorted(gathered.dropped.items(), key=lambda pair: -pair[1])[:3]
        print("  left out    " + "; ".join(f"{count:,} {reason}" for reason, count in most))
    if result.outcome == "planned" and result.expected:
        plan = result.expected
        cost = "" if plan.cost is None else f", about ${plan.cost:.2f}"
        parts = f"task {plan.task_calls:,}, prompt {plan.prompt_calls:,}, holdout {plan.judge_calls:,}"
        print(f"  expected    at most {output.count(plan.calls, 'model call')} ({parts}){cost}")
    if result.optimized:
        cost = "" if result.spent.cost is None else f", ${result.spent.cost:.2f}"
        ended = ", until the budget ended" if result.optimized.ended == "budget" else ""
        candidates = output.count(len(result.optimized.trials), "candidate")
        print(f"  search      {candidates}{ended}; {output.count(result.spent.calls, 'call')}{cost}")
    _print_decision(result)
    _print_next(result, applied)


def _print_decision(result: "Retrained") -> None:
    if result.account:
        from t0dspy.flywheel.promotion.account import describe

        print(f"  holdout     {describe(result.account)}")
    if result.export:
        shares = "  ".join(f"{version} {share:.0%}" for version, share in result.export.shares.items())
        print(f"  traffic     {shares}")
    if result.directory:
        print(f"  report      {result.directory / 'report.html'}")


def _print_next(result: "Retrained", applied: "Applied | None") -> None:
    """Print the origin of new demos, and the commands that remain until the new version serves."""
    origins = Counter(demo.source for demo in result.demos)
    if origins:
        listed = ", ".join(f"{count} {source}" for source, count in sorted(origins.items()))
        print(f"  demos       {origins.total()} new: {listed}")
    if result.review:
        print(f"  review      {result.version} has no traffic until you run `{result.review}`")
    if applied is not None:
        print(f"  {outcome(applied)}")
    elif result.export and result.export.written and not result.review:
        print("  written, not serving: run `t0dspy apply`.")


def _print_promotion(result: "Retrained", applied: "Applied | None") -> None:
    """Print one line for a promotion, and nothing for any other outcome."""
    if result.outcome != "promoted" or result.export is None:
        return
    share = result.export.shares.get(result.version or "", 0.0)
    serving = "serving" if applied is not None else "written, not serving: run `t0dspy apply`"
    serving = f"none until you run `{result.review}`" if result.review else serving
    print(f"{result.name}: {_headline(result)}; {share:.0%} of the traffic, {serving}; {result.reason}.")


def _headline(result: "Retrained") -> str:
    return {
        "promoted": f"{result.version} beats {result.incumbent}" + (" and awaits review" if result.review else ""),
        "kept": f"kept {result.incumbent}",
        "nothing to do": f"kept {result.incumbent}; nothing was optimized",
        "undecided": f"kept {result.incumbent}; nothing was optimized",
        "planned": f"would start from {result.incumbent}",
    }[result.outcome]
