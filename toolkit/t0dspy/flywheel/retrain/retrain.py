"""Retrain: pull, curate, recompile, judge; beat the incumbent or keep it."""

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory

import dspy

from t0dspy.artifact.exported import ExportedProgram
from t0dspy.errors import NothingProposedError
from t0dspy.flywheel.curate.settings import curate_options
from t0dspy.flywheel.metrics import load_metric
from t0dspy.flywheel.models.answers import Answers
from t0dspy.flywheel.models.budget import Ledger
from t0dspy.flywheel.models.counted_lm import counted_lm
from t0dspy.flywheel.optimize.candidates import prompts_of, stage_index
from t0dspy.flywheel.optimize.optimize import Data, Models, Optimized, optimize
from t0dspy.flywheel.promotion.contest import Judged, agreement, judged
from t0dspy.flywheel.promotion.groups import groups_of
from t0dspy.flywheel.promotion.options import PromotionOptions
from t0dspy.flywheel.retrain.budget_split import budgets, expected_of, optimize_options
from t0dspy.flywheel.retrain.data import data_of, gather_for, pull_for
from t0dspy.flywheel.retrain.estimate import Expected
from t0dspy.flywheel.retrain.gather import Gathered
from t0dspy.flywheel.retrain.holdout_account import (
    freshness_note,
    promotion_options,
    reserve,
    settle,
    state_account,
    why_not_asked,
)
from t0dspy.flywheel.retrain.origins import demo_origins
from t0dspy.flywheel.retrain.promote import check_exportable, promoted
from t0dspy.flywheel.retrain.report import as_html, as_json
from t0dspy.flywheel.retrain.results import Retrained, RetrainOptions
from t0dspy.flywheel.retrain.run_directory import FAILED, REPORT, Home, RunDirectory, write_text
from t0dspy.flywheel.retrain.task import (
    Task,
    begin,
    checked,
    form_notes,
    gone_on,
    is_made,
    model_name,
    model_notes,
    seen,
    with_models,
)
from t0dspy.flywheel.retrain.undecided import review_awaited, undecided_reason
from t0dspy.program.of_version import import_program, runnable_version
from t0dspy.rollout.history import awaiting_review
from t0dspy.settings import ProgramSettings, Settings, load_settings
from t0dspy.stack.processes.locate import locate


def retrain(
    name: str,
    options: RetrainOptions | None = None,
    *,
    program: dspy.Module | None = None,
    configs: Path | str | None = None,
    clickhouse_url: str | None = None,
    state: Path = Path(".t0dspy"),
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    progress: Callable[[str], None] = lambda text: None,
) -> Retrained:
    """One step of the loop for one program: a better version, or the incumbent and why.

    Configs are written once, at the end, and only when the judge found the challenger better.

    Args:
        name: the exported program; its settings say the metric and the models.
        options: how.
        program: the live program; by default it is imported as it was exported.
        configs: the directory of TensorZero's config; by default that of the settings.
        clickhouse_url: by default that of the settings.
        state: where runs and sets are remembered.
        now: the clock.
        progress: called with a line about what is being done.

    Raises:
        SettingsError: a setting is missing or wrong.
        RetrainError: another retrain of the program runs, or the disk refuses.
        BundleError: the program was never exported, or has no traffic.
        ProgramError: the code does not fit the incumbent.
        WarehouseError: ClickHouse is not there.
        MetricError: the metric raises.
        OptimizeError: the model does not answer, or every score is 0.
        WireInequalityError: the gateway would send something else than was optimized.
    """
    options = options or RetrainOptions()
    settings = locate(load_settings(configs=configs, clickhouse_url=clickhouse_url))
    own = checked(name, settings, options)
    metric = load_metric(own.metric or "", own.metric_threshold, own.gold)
    home, began = Home(state, name), now()

    def task(run: RunDirectory) -> Task:
        exported = ExportedProgram.read(settings.configs_dir, name)
        live = program if program is not None else import_program(exported)
        known = Task(
            name, own, settings, options, exported, live, exported.incumbent, metric, run, home, began, progress
        )
        return with_models(known, os.environ)

    if options.dry_run:
        with TemporaryDirectory() as directory:
            planned = task(RunDirectory(Path(directory)))
            return _undecided(planned) or _retrained(planned)
    with home.locked():
        cut_off = home.unfinished() if options.resume else None
        resumed = gone_on(task(cut_off)) if cut_off else None
        work = resumed or task(home.new_run(began))
        waiting = _undecided(work)
        if waiting:
            return waiting
        if not resumed:
            begin(work)
        try:
            found = _retrained(work)
        except NothingProposedError as error:
            work.run.write_json(FAILED, {"error": str(error)})
            raise
        result = replace(found, resumed=resumed is not None, seconds=(now() - began).total_seconds())
        if cut_off and not resumed:
            note = f"the run {cut_off.path.name} began with another incumbent or other settings; this is a new one."
            result = replace(result, notes=[note, *result.notes])
        return _finish(work, result)


def retrained_programs(settings: Settings) -> list[str]:
    """The configured programs that can be retrained: those with a metric."""
    return [name for name, one in settings.programs.items() if one.metric]


def _undecided(task: Task) -> Retrained | None:
    """The result of a retrain that waits because a candidate is undecided; None if it may go on.

    A run that was cut off after its own export may always end.
    """
    if task.options.replace or is_made(task):
        return None
    reason = undecided_reason(task.name, task.exported.shares)
    reason = reason or review_awaited(task.name, task.exported.shares, awaiting_review(task.exported.manifest))
    if not reason:
        return None
    waiting = _begun(task, Gathered((), (), (), pulled=0, feedback=0), ("", ""))
    return replace(waiting, outcome="undecided", reason=reason, directory=None)


def _begun(task: Task, gathered: Gathered, window: tuple[str, str]) -> Retrained:
    return Retrained(
        name=task.name,
        outcome="nothing to do",
        reason="",
        incumbent=task.version,
        form=task.form,
        window=window,
        gathered=gathered,
        models={role: model_name(model) for role, model in task.model_settings.items()},
        metric=task.metric.name,
        run=task.run.path.name,
        directory=None if task.options.dry_run else task.run.path,
        notes=[*form_notes(task), *model_notes(task), *gathered.notes],
    )


def _retrained(task: Task) -> Retrained:
    pulled, window = pull_for(task)
    gathered = gather_for(task, pulled)
    result = _begun(task, gathered, window)
    incumbent = runnable_version(task.live, task.exported, task.version)
    missing = too_little(gathered, task.own) or _nothing_new(task, gathered)
    if missing:
        return replace(result, reason=missing)
    result = replace(result, account=state_account(task, gathered))
    closed = why_not_asked(task.own, result.account) if result.account else ""
    if closed:
        return replace(result, reason=closed)
    stage_index(incumbent, task.options.stage)
    check_exportable(task, incumbent)
    data, holdout = data_of(task, gathered, incumbent)
    plan = expected_of(task, gathered, incumbent)
    if task.options.dry_run:
        return replace(result, outcome="planned", reason=_fits(task, plan), expected=plan)
    with Answers(task.run.path / "answers.jsonl") as answers:
        return _compiled(task, replace(result, expected=plan), incumbent, data, holdout, plan, answers)


def too_little(gathered: Gathered, own: ProgramSettings) -> str:
    """Why there is too little to learn from or to judge by; empty when there is enough."""
    learn = len(gathered.train) + len(gathered.validation)
    if gathered.feedback < own.min_feedback:
        return f"too little feedback: {gathered.feedback} examples have some, and min_feedback is {own.min_feedback}"
    if learn < own.min_examples or not gathered.train or not gathered.validation:
        parts = f"{len(gathered.train)} to train and {len(gathered.validation)} to validate"
        return f"too few examples to learn from: {parts}, and min_examples is {own.min_examples}"
    if len(gathered.holdout) < max(1, own.min_holdout):
        return f"too few examples to judge by: {len(gathered.holdout)}, and min_holdout is {own.min_holdout}"
    return ""


def _nothing_new(task: Task, gathered: Gathered) -> str:
    last = task.home.last()
    if last and last.run != task.run.path.name and last.seen == seen(task, gathered)["seen"]:
        same = "the same examples, feedback, incumbent, metric and settings"
        return f"nothing new since the run {last.run}: {same}. Another --seed searches once more"
    return ""


def _fits(task: Task, plan: Expected) -> str:
    budgets(task, plan)
    return "nothing was optimized or written"


def _compiled(
    task: Task,
    result: Retrained,
    incumbent: dspy.Module,
    data: Data,
    holdout: list[dspy.Example],
    plan: Expected,
    answers: Answers,
) -> Retrained:
    first, whole = budgets(task, plan)
    ledger = Ledger(task.prices, first)
    named = task.model_settings
    lms = [counted_lm(named[role], ledger, answers) for role in ("task", "prompt")]
    found = optimize(
        incumbent,
        data,
        task.metric,
        Models(lms[0], lms[1], ledger),
        task.form,
        optimize_options(task),
        progress=task.progress,
        log=task.log,
    )
    before, after = prompts_of(incumbent), prompts_of(found.program)
    result = replace(
        result,
        outcome="kept",
        optimized=found,
        prompts={path: (before[path], after[path]) for path in before},
        demos=demo_origins(
            incumbent, found.program, result.gathered.train, data.sources, curate_options(task.own).user_tag
        ),
        notes=[*result.notes, *found.notes],
        spent=ledger.spent,
    )
    ledger.allow(whole)
    judge = counted_lm(named["judge"], ledger, answers)
    if not found.better:
        said = f"{found.incumbent_score:.3f} on the validation set, best of {len(found.trials)} candidates"
        return replace(result, reason=f"no candidate was better than the incumbent: {said}")
    question = reserve(task, result.gathered, prompts_of(found.program))
    if question is None:
        return replace(result, reason="the holdout was used up by another decision of this run")
    account = state_account(task, result.gathered)
    result = replace(result, account=account, notes=[*result.notes, *freshness_note(account)])
    verdict = _judged(task, incumbent, found, holdout, result.gathered, judge, promotion_options(task.own, question))
    agreed = agreement(task.metric, [*data.train, *data.validation, *holdout], judge)
    result = replace(result, agreement=agreed, spent=ledger.spent)
    if verdict is None:
        return replace(result, reason="the budget ended before the judge had seen the whole holdout")
    settle(task, question, verdict.judgement.decision)
    pairs = [(old.score, new.score) for old, new in zip(verdict.incumbent, verdict.challenger, strict=True)]
    result = replace(result, judgement=verdict.judgement, reason=verdict.judgement.reason, pairs=pairs)
    return result if verdict.judgement.decision == "keep" else promoted(task, result, found)


def _judged(
    task: Task,
    incumbent: dspy.Module,
    found: Optimized,
    holdout: list[dspy.Example],
    gathered: Gathered,
    lm: dspy.LM,
    options: PromotionOptions,
) -> Judged | None:
    return judged(
        incumbent,
        found.program,
        holdout,
        task.metric,
        lm,
        task.form,
        options,
        tags=[one.tags for one in gathered.holdout],
        groups=groups_of(gathered.holdout, curate_options(task.own).user_tag),
        version=task.version,
        threads=task.options.threads,
        progress=task.progress,
        log=task.log,
    )


def _finish(task: Task, result: Retrained) -> Retrained:
    """Write the report; a run that had nothing to do leaves nothing behind."""
    if result.outcome == "nothing to do":
        rmtree(task.run.path, ignore_errors=True)
        return replace(result, directory=None)
    told = as_json(result)
    write_text(task.run.path / "report.html", as_html(told))
    task.home.finished(seen(task, result.gathered))
    task.run.write_json(REPORT, told)
    return result
