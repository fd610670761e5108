"""The whole step of the loop: beat the incumbent or keep it."""

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
    """`--optimizer`."""

    miprov2 = "miprov2"
    gepa = "gepa"


class Auto(StrEnum):
    """`--auto`."""

    light = "light"
    medium = "medium"
    heavy = "heavy"


def retrain(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Programs (default: all that have a metric).")
    ] = None,
    window: Annotated[str, typer.Option(metavar="LENGTH", help="45m, 12h, 30d or 4w, until now.")] = "30d",
    optimizer: Annotated[
        Optimizer, typer.Option(metavar="miprov2|gepa", help="GEPA reads people's comments (default: miprov2).")
    ] = Optimizer.miprov2,
    auto: Annotated[
        Auto, typer.Option(metavar="light|medium|heavy", help="How long to search (default: light).")
    ] = Auto.light,
    traffic: Annotated[float, typer.Option(metavar="SHARE", help="The winner's share; 0: none (default: 0.1).")] = 0.1,
    canary: Annotated[float | None, typer.Option(metavar="SHARE", hidden=True, help="Same as --traffic.")] = None,
    max_calls: Annotated[
        int | None, typer.Option(metavar="N", help="Calls of models, judging included; ends with the best so far.")
    ] = None,
    max_cost: Annotated[float | None, typer.Option(metavar="USD", help="The same in money; needs `prices`.")] = None,
    stage: Annotated[str | None, typer.Option(metavar="P", help="Optimize this predictor alone.")] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=1, help="Of all that is drawn (default: 9).")] = 9,
    threads: Annotated[int, typer.Option(metavar="N", min=1, help="Runs at once (default: 8).")] = 8,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was cut off, where there is one.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Run although a candidate is undecided; a winner takes its traffic.")
    ] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Have the gateway serve a winner at once.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Pull, curate, and print the plan and its cost; write nothing.")
    ] = False,
    review: Annotated[
        bool | None,
        typer.Option("--review/--no-review", help="Give a winner no traffic until a person does (default: settings)."),
    ] = None,
    no_verify: Annotated[bool, typer.Option("--no-verify", help="Skip the proof that prompts are equal.")] = False,
    configs: options.Configs = None,
    gateway_url: options.GatewayUrl = None,
    clickhouse_url: options.ClickhouseUrl = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Recompile programs from what production said, and export what beats the incumbent on examples neither has seen.

    Too little data, nothing new, no better, or an earlier winner that is still undecided: the incumbent stays, and the
    exit code is 0. A run that is killed leaves the configs as they were. Each run leaves report.html and report.json in
    .t0dspy/retrain/NAME/runs. With --quiet only a promotion prints a line, so that cron mails it.

    Example: t0dspy retrain --window 30d --apply --max-calls 2000 --quiet
    """
    from t0dspy.flywheel.extras import check_extra

    check_extra()
    from t0dspy.flywheel.retrain.results import RetrainOptions

    settings = options.settings(configs, gateway_url, clickhouse_url)
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
        applying = partial(options.applying, settings, quiet) if apply and not dry_run else None
        results = _each(list(names or ()), asked, settings, progress, applying)
    if json:
        from t0dspy.flywheel.retrain.report import as_json

        output.print_json([{**as_json(one), "serving": applied is not None} for one, applied in results])
    elif quiet:
        for one, applied in results:
            _print_promotion(one, applied)
    else:
        for one, applied in results:
            _print(one, applied)


def _each(
    names: list[str],
    asked: "RetrainOptions",
    settings: "Settings",
    progress: output.Progress,
    applying: "Callable[[], Callable[[str], Applied]] | None",
) -> "list[tuple[Retrained, Applied | None]]":
    """One program after the other; what goes wrong with one is said, and holds up no other."""
    from t0dspy.errors import RetrainError, SettingsError, T0dspyError
    from t0dspy.flywheel.retrain.retrain import retrain as retrain_one
    from t0dspy.flywheel.retrain.retrain import retrained_programs

    names = names or retrained_programs(settings)
    if not names:
        file = settings.file or "no settings file"
        raise SettingsError(f"{file}: no program has a `metric`, so there is none to retrain.")
    results, failed = [], []
    for name in names:
        try:
            where: dict[str, Any] = {
                "configs": settings.configs_dir,
                "clickhouse_url": settings.clickhouse_url.value,
                "progress": progress.say,
            }
            apply = applying() if applying else None  # before anything is spent: is there a gateway to apply to?
            result = retrain_one(name, asked, **where)
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
    sizes = [len(one) for one in (gathered.train, gathered.validation, gathered.holdout)]
    sets = "{:,} to train, {:,} to validate, {:,} to judge".format(*sizes)
    print(f"  examples    {gathered.pulled:,} pulled: {sets}")
    if gathered.dropped:
        most = sorted(gathered.dropped.items(), key=lambda pair: -pair[1])[:3]
        print("  left out    " + "; ".join(f"{count:,} {why}" for why, count in most))
    if result.outcome == "planned" and result.expected:
        plan = result.expected
        cost = "" if plan.cost is None else f", about ${plan.cost:.2f}"
        parts = f"task {plan.task_calls:,}, prompt {plan.prompt_calls:,}, judge {plan.judge_calls:,}"
        print(f"  expected    at most {plan.calls:,} calls of models ({parts}){cost}")
    if result.optimized:
        cost = "" if result.spent.cost is None else f", ${result.spent.cost:.2f}"
        ended = ", until the budget ended" if result.optimized.ended == "budget" else ""
        print(f"  search      {len(result.optimized.trials)} candidates{ended}; {result.spent.calls:,} calls{cost}")
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
    """Print the origin of new demos, and what remains to be done before the new version serves."""
    origins = Counter(demo.source for demo in result.demos)
    if origins:
        listed = ", ".join(f"{count} {source}" for source, count in sorted(origins.items()))
        print(f"  demos       {origins.total()} new: {listed}")
    if result.review:
        print(f"  review      {result.version} has no traffic until you run `{result.review}`")
    if applied is not None:
        print(f"  {outcome(applied)}")
    elif result.export and result.export.written and not result.review:
        print("  written, not serving: `t0dspy apply` has the gateway serve it.")


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
