"""Retrain a program: one step of the loop, which beats the incumbent or keeps it."""

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
from t0dspy.flywheel.metrics import load_metric
from t0dspy.flywheel.retrain.attempt import attempt, start_result
from t0dspy.flywheel.retrain.gather import Gathered
from t0dspy.flywheel.retrain.report import as_html, as_json
from t0dspy.flywheel.retrain.results import Retrained, RetrainOptions
from t0dspy.flywheel.retrain.run_directory import FAILED, REPORT, Home, RunDirectory, write_text
from t0dspy.flywheel.retrain.task import (
    Task,
    begin,
    check_settings,
    is_made,
    resume,
    seen,
    with_models,
)
from t0dspy.flywheel.retrain.undecided import review_reason, undecided_reason
from t0dspy.program.of_version import import_program
from t0dspy.rollout.history import awaiting_review
from t0dspy.settings import Settings, load_settings
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
    """Run one step of the loop for one program: make a better version, or keep the incumbent and return why.

    The configs are written once, at the end, and only if the promotion test found the challenger better.

    Args:
        name: the exported program; its settings name the metric and the models.
        options: the options of the retrain.
        program: the live program; by default it is imported as it was exported.
        configs: the directory of TensorZero's config; by default that of the settings.
        clickhouse_url: by default that of the settings.
        state: the directory for runs and for the assignment of examples to sets.
        now: the clock.
        progress: called with a line of progress.

    Returns:
        The outcome, its reason, and the numbers that it is based on.

    Raises:
        SettingsError: a setting is missing or wrong.
        RetrainError: another retrain of the program is running, or the disk refuses a write.
        BundleError: the program was never exported, or has no traffic.
        ProgramError: the code does not fit the incumbent.
        WarehouseError: ClickHouse cannot be reached.
        MetricError: the metric raised an exception.
        OptimizeError: the model does not answer, or every score is 0.
        WireInequalityError: the gateway would send other requests than those that were optimized.
    """
    options = options or RetrainOptions()
    settings = locate(load_settings(configs=configs, clickhouse_url=clickhouse_url))
    program_settings = check_settings(name, settings, options)
    metric = load_metric(program_settings.metric or "", program_settings.metric_threshold, program_settings.gold)
    home, began = Home(state, name), now()

    def task(run: RunDirectory) -> Task:
        exported = ExportedProgram.read(settings.configs_dir, name)
        live = program if program is not None else import_program(exported)
        known = Task(
            name,
            program_settings,
            settings,
            options,
            exported,
            live,
            exported.incumbent,
            metric,
            run,
            home,
            began,
            progress,
        )
        return with_models(known, os.environ)

    if options.dry_run:
        with TemporaryDirectory() as directory:
            planned = task(RunDirectory(Path(directory)))
            return _undecided(planned) or attempt(planned)
    with home.lock():
        cut_off = home.unfinished() if options.resume else None
        resumed = resume(task(cut_off)) if cut_off else None
        work = resumed or task(home.new_run(began))
        waiting = _undecided(work)
        if waiting:
            return waiting
        if not resumed:
            begin(work)
        try:
            result = attempt(work)
        except NothingProposedError as error:
            work.run.write_json(FAILED, {"error": str(error)})
            raise
        result = replace(result, resumed=resumed is not None, seconds=(now() - began).total_seconds())
        if cut_off and not resumed:
            note = f"the run {cut_off.path.name} began with another incumbent or other settings; this is a new one."
            result = replace(result, notes=[note, *result.notes])
        return _finish(work, result)


def retrainable_programs(settings: Settings) -> list[str]:
    """Return the configured programs that can be retrained, which are those with a metric."""
    return [name for name, program in settings.programs.items() if program.metric]


def _undecided(task: Task) -> Retrained | None:
    """Return the result of a retrain that waits because a candidate is undecided; None if it may continue.

    A run that was interrupted after its own export may always finish.
    """
    if task.options.replace or is_made(task):
        return None
    reason = undecided_reason(task.name, task.exported.shares)
    reason = reason or review_reason(task.name, task.exported.shares, awaiting_review(task.exported.manifest))
    if not reason:
        return None
    waiting = start_result(task, Gathered((), (), (), pulled=0, feedback=0), ("", ""))
    return replace(waiting, outcome="undecided", reason=reason, directory=None)


def _finish(task: Task, result: Retrained) -> Retrained:
    """Write the report; the directory of a run that had nothing to do is removed."""
    if result.outcome == "nothing to do":
        rmtree(task.run.path, ignore_errors=True)
        return replace(result, directory=None)
    report = as_json(result)
    write_text(task.run.path / "report.html", as_html(report))
    task.home.record_finished(seen(task, result.gathered))
    task.run.write_json(REPORT, report)
    return result
