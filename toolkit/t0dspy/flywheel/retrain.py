"""Retrain: pull, curate, recompile, judge; beat the incumbent or keep it."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import Any

import dspy

from t0dspy.errors import RetrainError, SettingsError
from t0dspy.exporting import ExportOptions, export
from t0dspy.flywheel.answers import Answers
from t0dspy.flywheel.candidates import Sealed, production_sets, prompts_of
from t0dspy.flywheel.estimate import Expected, expected
from t0dspy.flywheel.gather import LINEAGE, Gathered, gather, good_runs, is_good, lineage, sealed_items
from t0dspy.flywheel.gather import curate_options as options_of
from t0dspy.flywheel.handles import lineage_of
from t0dspy.flywheel.judge import JudgeOptions
from t0dspy.flywheel.judging import Judged, agreement, judged
from t0dspy.flywheel.metrics import Metric, load_metric
from t0dspy.flywheel.models import counted_lm
from t0dspy.flywheel.optimize import Data, Models, Optimized, OptimizeOptions, optimize
from t0dspy.flywheel.pull import PullOptions, pull_examples
from t0dspy.flywheel.pulled import PulledExample
from t0dspy.flywheel.report import as_html, as_json
from t0dspy.flywheel.results import Retrained, RetrainOptions, lineage_entry, scores_of
from t0dspy.flywheel.run_directory import REPORT, Home, RunDirectory, write_text
from t0dspy.flywheel.sets import SetState
from t0dspy.flywheel.spending import Budget, Ledger, Price
from t0dspy.flywheel.typed import Types, to_example
from t0dspy.flywheel.versions import Exported, exported
from t0dspy.model import PromptForm, digest
from t0dspy.settings import ProgramSettings, Settings, load_settings
from t0dspy.traffic import check_share
from t0dspy.warehouse.client import Warehouse


@dataclass(frozen=True)
class _Task:
    """One retrain of one program, with all that it needs."""

    name: str
    own: ProgramSettings
    settings: Settings
    options: RetrainOptions
    found: Exported
    version: str
    metric: Metric
    run: RunDirectory
    home: Home
    now: datetime
    progress: Callable[[str], None]

    @property
    def base(self) -> Path:
        return self.settings.file.parent if self.settings.file else Path()

    @property
    def form(self) -> PromptForm:
        return self.found.entry(self.version).form

    @property
    def log(self) -> Path | None:
        return None if self.options.dry_run else self.run.path / "optimizer.log"

    @property
    def model_settings(self) -> dict[str, Any]:
        task = self.own.task_model
        return {"task": task, "prompt": self.own.prompt_model or task, "judge": self.own.judge_model or task}

    @property
    def prices(self) -> dict[str, Price]:
        return {model: Price(**price) for model, price in self.own.prices.items()}


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
        RetrainError: another retrain of the program runs, or a run cannot be resumed.
        BundleError: the program was never exported, or has no traffic.
        ProgramError: the code does not fit the incumbent.
        WarehouseError: ClickHouse is not there.
        MetricError: the metric raises.
        OptimizeError: the model does not answer, or every score is 0.
        WireInequalityError: the gateway would send something else than was optimized.
    """
    options = options or RetrainOptions()
    settings = load_settings(configs=configs, clickhouse_url=clickhouse_url)
    own = _checked(name, settings, options)
    home = Home(state, name)
    found = exported(name, settings.configs_dir, program)
    metric = load_metric(own.metric or "", own.metric_threshold)
    began = now()
    if options.dry_run:
        with TemporaryDirectory() as directory:
            run = RunDirectory(Path(directory))
            return _retrained(
                _Task(name, own, settings, options, found, found.incumbent, metric, run, home, began, progress)
            )
    with home.locked():
        cut_off = home.unfinished() if options.resume else None
        run = cut_off or home.new_run(began)
        task = _Task(name, own, settings, options, found, found.incumbent, metric, run, home, began, progress)
        task = _begun(task, resumed=cut_off is not None)
        result = _retrained(task)
        result = replace(result, resumed=cut_off is not None, seconds=(now() - began).total_seconds())
        return _finish(task, result)


def retrained_programs(settings: Settings) -> list[str]:
    """The configured programs that can be retrained: those with a metric."""
    return [name for name, one in settings.programs.items() if one.metric]


def _checked(name: str, settings: Settings, options: RetrainOptions) -> ProgramSettings:
    if name not in settings.programs:
        known = ", ".join(settings.programs) or "none"
        raise SettingsError(f"no settings for the program {name!r} (configured: {known}); its metric is read there.")
    own = settings.programs[name]
    where = f"{settings.file}, [tool.t0dspy.programs.{name}]"
    if not own.metric:
        raise SettingsError(f"{where}: lacks `metric`, such as metric = 'app.metrics:grade'.")
    if not own.task_model:
        raise SettingsError(f"{where}: lacks `task_model`, such as task_model = 'openai/gpt-4o-mini'.")
    if options.canary:
        check_share(options.canary, "the canary")
    if options.max_cost is not None and not own.prices:
        raise SettingsError(f"{where}: a limit of cost needs `prices`, US dollars for a million tokens of each model.")
    for limit, least in ((options.max_calls, 1), (options.max_cost, 0)):
        if limit is not None and limit < least:
            raise SettingsError(f"a limit of {limit:g}: give one above 0.")
    return own


def _begun(task: _Task, *, resumed: bool) -> _Task:
    """The task with what its run began with: the same window, incumbent and settings, however often it is resumed."""
    began = {
        "until": task.now.isoformat(),
        "incumbent": task.version,
        "content": task.found.entry(task.version).content_hash,
        "asked": digest(json.dumps([_asked(task), asdict(task.own)], sort_keys=True, default=str)),
    }
    known = task.run.remembered("run.json", lambda: began)
    if resumed and any(known[key] != began[key] for key in ("content", "asked", "incumbent")) and not _is_made(task):
        raise RetrainError(
            f"{task.run.path}: was begun with another incumbent or other settings, so it cannot go on. Start anew, "
            "without --resume."
        )
    return replace(task, now=datetime.fromisoformat(known["until"]), version=known["incumbent"])


def _asked(task: _Task) -> dict[str, Any]:
    return {**asdict(task.options), "resume": None, "threads": None}


def _is_made(task: _Task) -> bool:
    """Whether the run exported its winner already: with the whole share it is the incumbent now."""
    newest = task.found.manifest.versions[task.found.manifest.newest or ""]
    return (newest.lineage or {}).get("run") == task.run.path.name


def _retrained(task: _Task) -> Retrained:
    pulled, window = _pulled(task)
    gathered = _gathered(task, pulled)
    result = Retrained(
        name=task.name,
        outcome="nothing to do",
        reason="",
        incumbent=task.version,
        form=task.form,
        window=window,
        gathered=gathered,
        models={role: _model_name(model) for role, model in task.model_settings.items()},
        metric=task.metric.name,
        run=task.run.path.name,
        directory=None if task.options.dry_run else task.run.path,
        notes=_notes(task),
    )
    incumbent = task.found.program(task.version)
    missing = too_little(gathered, task.own) or _nothing_new(task, gathered)
    if missing:
        return replace(result, reason=missing)
    data, holdout = _data(task, gathered, incumbent)
    result = replace(result, agreement=agreement(task.metric, [*data.train, *data.validation, *holdout]))
    plan = _expected(task, gathered, incumbent)
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


def _nothing_new(task: _Task, gathered: Gathered) -> str:
    last = task.home.last()
    if last and last.get("seen") == _seen(task, gathered)["seen"]:
        return f"nothing new since the run {last['run']}: the same examples, feedback, incumbent and settings"
    return ""


def _seen(task: _Task, gathered: Gathered) -> dict[str, Any]:
    asked = {key: value for key, value in _asked(task).items() if key not in ("window", "dry_run", "verify", "canary")}
    content = task.found.entry(task.version).content_hash
    return {
        "run": task.run.path.name,
        "seen": digest(json.dumps([gathered.fingerprint, content, asked, asdict(task.own)], default=str)),
    }


def _pulled(task: _Task) -> tuple[list[PulledExample], tuple[str, str]]:
    """What production said, as pulled when the run began."""
    known = task.run.read_examples("pulled.jsonl")
    if known is None:
        task.progress(f"pulling {task.name}")
        options = PullOptions(window=task.options.window, until=task.now, fallbacks=False)
        with Warehouse(task.settings.clickhouse_url.value) as warehouse:
            pull = pull_examples(task.name, options, warehouse, task.settings.configs_dir)
            known = list(pull)
        task.run.write_json("pull.json", pull.summary.to_json())
        task.run.write_examples("pulled.jsonl", known)
    summary = task.run.remembered("pull.json", dict)
    return known, (summary.get("since", ""), summary.get("until", ""))


def _gathered(task: _Task, pulled: Sequence[PulledExample]) -> Gathered:
    task.progress(f"curating {len(pulled):,} examples")
    found = gather(pulled, task.found, task.version, task.own, task.base, SetState.read(task.home.sets))
    if not task.options.dry_run:
        found.state.write(task.home.sets)  # before any of it is used
    return found


def _data(task: _Task, gathered: Gathered, incumbent: dspy.Module) -> tuple[Data, list[dspy.Example]]:
    types, floor = Types.of(task.found.code, task.name), options_of(task.own).floor
    trusted = {"train": True, "validation": task.own.gold == "required", "holdout": False}
    sets: dict[str, list[dspy.Example]] = {}
    for part, trust in trusted.items():
        every: Sequence[PulledExample] = getattr(gathered, part)
        labelled = [replace(one, demonstration=one.demonstration or (trust and is_good(one, floor))) for one in every]
        sets[part] = [to_example(one, types, f"an example to {part}") for one in labelled]
    demos = production_sets(
        good_runs(gathered.train, floor), incumbent, max(1, task.own.max_demos), seed=task.options.seed
    )
    sealed = Sealed(sealed_items([*gathered.validation, *gathered.holdout]))
    return Data(sets["train"], sets["validation"], demos if task.own.max_demos else {}, sealed), sets["holdout"]


def _expected(task: _Task, gathered: Gathered, incumbent: dspy.Module) -> Expected:
    sets = (gathered.train, gathered.validation, gathered.holdout)
    names = [_model_name(task.model_settings[role]) for role in ("task", "prompt", "judge")]
    return expected(incumbent, _optimize_options(task), sets, (names[0], names[1], names[2]), task.prices)


def _optimize_options(task: _Task) -> OptimizeOptions:
    asked = task.options
    return OptimizeOptions(asked.optimizer, asked.auto, asked.seed, asked.threads, task.own.max_demos, asked.stage)


def _budgets(task: _Task, plan: Expected) -> tuple[Budget, Budget]:
    """What the optimizer may spend, and what all may: the judge's part is put aside first.

    Raises:
        SettingsError: so little that nothing is left to optimize with.
    """
    whole = Budget(task.options.max_calls, task.options.max_cost)
    calls = None if whole.calls is None else whole.calls - plan.judge_calls
    if calls is not None and calls <= 0:
        raise SettingsError(
            f"--max-calls {whole.calls}: judging alone takes about {plan.judge_calls} calls; optimizing comes on top."
        )
    share = min(0.5, 1.5 * plan.judge_calls / max(1, plan.calls))
    return Budget(calls, None if whole.cost is None else whole.cost * (1 - share)), whole


def _fits(task: _Task, plan: Expected) -> str:
    _budgets(task, plan)
    return "nothing was optimized or written"


def _compiled(
    task: _Task,
    result: Retrained,
    incumbent: dspy.Module,
    data: Data,
    holdout: list[dspy.Example],
    plan: Expected,
    answers: Answers,
) -> Retrained:
    first, whole = _budgets(task, plan)
    ledger = Ledger(task.prices, first)
    lms = {role: counted_lm(model, ledger, answers) for role, model in task.model_settings.items()}
    found = optimize(
        incumbent,
        data,
        task.metric,
        Models(lms["task"], lms["prompt"], ledger),
        task.form,
        _optimize_options(task),
        progress=task.progress,
        log=task.log,
    )
    before, after = prompts_of(incumbent), prompts_of(found.program)
    result = replace(
        result,
        outcome="kept",
        optimized=found,
        prompts={path: (before[path], after[path]) for path in before},
        notes=[*result.notes, *found.notes],
        spent=ledger.spent,
    )
    if not found.better:
        said = f"{found.incumbent_score:.3f} on the validation set, best of {len(found.trials)} candidates"
        return replace(result, reason=f"no candidate was better than the incumbent: {said}")
    ledger.allow(whole)
    verdict = _judged(task, incumbent, found, holdout, result.gathered, lms["judge"])
    result = replace(result, spent=ledger.spent)
    if verdict is None:
        return replace(result, reason="the budget ended before the judge had seen the whole holdout")
    pairs = [(old.score, new.score) for old, new in zip(verdict.incumbent, verdict.challenger, strict=True)]
    result = replace(result, judgement=verdict.judgement, reason=verdict.judgement.reason, pairs=pairs)
    return result if verdict.judgement.decision == "keep" else _exported(task, result, found)


def _judged(
    task: _Task,
    incumbent: dspy.Module,
    found: Optimized,
    holdout: list[dspy.Example],
    gathered: Gathered,
    lm: dspy.LM,
) -> Judged | None:
    return judged(
        incumbent,
        found.program,
        holdout,
        task.metric,
        lm,
        task.form,
        JudgeOptions(task.own.min_improvement, task.own.confidence, seed=task.options.seed),
        tags=[one.tags for one in gathered.holdout],
        version=task.version,
        threads=task.options.threads,
        progress=task.progress,
        log=task.log,
    )


def _exported(task: _Task, result: Retrained, found: Optimized) -> Retrained:
    task.progress(f"exporting the winner of {task.name}")
    manifest, gathered = task.found.manifest, result.gathered
    made = export(
        found.program,
        task.settings.configs_dir,
        ExportOptions(
            name=task.name,
            model=task.own.model or _served_model(task),
            adapter=task.form.adapter,
            demos=task.form.demos,
            signature=task.own.signature,
            stages_only=task.found.entry(task.version).served_by is None,
            traffic=task.options.canary or None,
            import_path=manifest.program,
            stage_timeout=task.own.stage_timeout or manifest.deadlines["stage"],
            run_timeout=task.own.run_timeout or manifest.deadlines["run"],
            verify=task.options.verify,
            scores=scores_of(result, found),
            lineage=lineage_entry(result, task.options),
            beside={LINEAGE: _lineage_json(task, gathered)},
        ),
        progress=task.progress,
    )
    notes = [*result.notes, *made.notes]
    if made.unchanged and not _is_made(task):
        notes.append(
            f"it equals {made.version}, which exists; give that one traffic with `t0dspy traffic {task.name}`."
        )
    return replace(result, outcome="promoted", version=made.version, export=made, notes=notes)


def _lineage_json(task: _Task, gathered: Gathered) -> str:
    ignore = options_of(task.own).ignore
    parts = {part: list(lineage_of(getattr(gathered, part), ignore)) for part in ("train", "validation", "holdout")}
    parts["train"] = sorted({*parts["train"], *lineage(task.found, task.version)})
    return json.dumps(parts, indent=0) + "\n"


def _served_model(task: _Task) -> str | None:
    """The TensorZero model of the incumbent, where all of its predictors have the same."""
    models = {one.model for one in task.found.entry(task.version).predictors.values()}
    return models.pop() if len(models) == 1 else None


def _notes(task: _Task) -> list[str]:
    own, form = task.own, task.form
    wanted = PromptForm(own.adapter or form.adapter, own.demos or form.demos)
    if wanted == form:
        return []
    return [
        f"{task.version} has the prompt form {form.adapter}, {form.demos}, and the settings say {wanted.adapter}, "
        f"{wanted.demos}: retrain keeps the incumbent's. Export it in the other form first, and evaluate both."
    ]


def _model_name(model: Any) -> str:
    return model if isinstance(model, str) else str(model["model"])


def _finish(task: _Task, result: Retrained) -> Retrained:
    """Write the report; a run that had nothing to do leaves nothing behind."""
    if result.outcome == "nothing to do":
        rmtree(task.run.path, ignore_errors=True)
        return replace(result, directory=None)
    told = as_json(result)
    write_text(task.run.path / "report.html", as_html(told))
    task.home.finished(_seen(task, result.gathered))
    task.run.write_json(REPORT, told)
    return result
