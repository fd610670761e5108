"""One retrain of one program: its options, its incumbent, and its progress."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import dspy

from t0dspy.artifact.exported import ExportedProgram
from t0dspy.artifact.names import check_program_name
from t0dspy.artifact.rollout_toml import check_share
from t0dspy.compiler.adapters import make_adapter
from t0dspy.errors import RetrainError, SettingsError
from t0dspy.flywheel.metrics import Metric
from t0dspy.flywheel.models.budget import Price
from t0dspy.flywheel.models.served_model import ServedModel, is_served_by, served_model
from t0dspy.flywheel.retrain.gather import Gathered
from t0dspy.flywheel.retrain.results import RetrainOptions
from t0dspy.flywheel.retrain.run_directory import Beginning, Home, RunDirectory, read_shaped
from t0dspy.model import PromptForm, digest
from t0dspy.settings import ProgramSettings, Settings


@dataclass(frozen=True)
class Task:
    """One retrain of one program with everything that it needs."""

    name: str
    program_settings: ProgramSettings
    settings: Settings
    options: RetrainOptions
    exported: ExportedProgram
    live: dspy.Module = field(repr=False)
    version: str
    metric: Metric
    run: RunDirectory
    home: Home
    now: datetime
    progress: Callable[[str], None]
    served: Sequence[ServedModel] = ()
    """The gateway's models that serve the incumbent."""
    key: str | None = field(default=None, repr=False)
    """The secret of a task model that is the served one, because the settings name no other."""

    @property
    def base(self) -> Path:
        """Return the directory that paths in the settings are relative to."""
        return self.settings.file.parent if self.settings.file else Path()

    @property
    def form(self) -> PromptForm:
        """Return the incumbent's prompt form, which the challenger has too."""
        return self.exported.version(self.version).form

    @property
    def adapter(self) -> dspy.Adapter:
        """Return a new adapter that writes the incumbent's prompts, with its second call after an unreadable answer."""
        return make_adapter(self.form, self.exported.version(self.version).adapter)

    @property
    def review(self) -> bool:
        """Return whether a winner gets no traffic until a person decides."""
        return self.program_settings.review if self.options.review is None else self.options.review

    @property
    def log(self) -> Path | None:
        """Return the file for the optimizer's own output."""
        return None if self.options.dry_run else self.run.path / "optimizer.log"

    @property
    def model_settings(self) -> dict[str, Any]:
        """Return role -> the model as the settings name it."""
        task = self.program_settings.task_model
        if self.key is not None and isinstance(task, Mapping):
            task = {**task, "api_key": self.key}
        return {
            "task": task,
            "prompt": self.program_settings.prompt_model or task,
            "judge": self.program_settings.judge_model or task,
        }

    @property
    def prices(self) -> dict[str, Price]:
        """Return DSPy's name of a model -> its price."""
        return {model: Price(**price) for model, price in self.program_settings.prices.items()}


def check_settings(name: str, settings: Settings, options: RetrainOptions) -> ProgramSettings:
    """Check the program's settings and the options, and return the settings.

    Raises:
        SettingsError: a setting is missing or wrong.
    """
    if check_program_name(name) not in settings.programs:
        known = ", ".join(settings.programs) or "none"
        raise SettingsError(f"no settings for the program {name!r} (configured: {known}); its metric is read there.")
    program_settings = settings.programs[name]
    location = f"{settings.file}, [tool.t0dspy.programs.{name}]"
    if not program_settings.metric:
        raise SettingsError(f"{location}: lacks `metric`, such as metric = 'app.metrics:grade'.")
    if options.share:
        check_share(options.share, "the winner")
    for limit, least in ((options.max_calls, 1), (options.max_cost, 0)):
        if limit is not None and not limit >= least:  # this refuses NaN too, which would not limit anything
            raise SettingsError(f"a limit of {limit:g}: give one above 0.")
    return program_settings


def with_models(task: Task, environment: Mapping[str, str]) -> Task:
    """Return the task with the models that serve the incumbent; one of them is the task model if no setting names it.

    Raises:
        SettingsError: no setting names the task model and DSPy cannot name the served one, or a price is missing.
    """
    names = {predictor.model for predictor in task.exported.version(task.version).predictors.values()}
    served = [served_model(task.settings.configs_dir, name, environment) for name in sorted(names)]
    location = f"{task.settings.file}, [tool.t0dspy.programs.{task.name}]"
    program_settings, key = task.program_settings, None
    if not program_settings.task_model:
        if len(served) != 1 or served[0].setting is None:
            raise SettingsError(
                f"{location}: lacks `task_model`, such as task_model = 'openai/gpt-4o-mini'. It cannot be the "
                f"model that serves {task.version} ({', '.join(sorted(names))}), because that is not one model that "
                "DSPy can name."
            )
        program_settings, key = replace(program_settings, task_model=served[0].setting), served[0].key
    _check_prices(program_settings, task.options, location)
    return replace(task, program_settings=program_settings, served=served, key=key)


def _check_prices(program_settings: ProgramSettings, options: RetrainOptions, location: str) -> None:
    models = {
        model_name(model)
        for model in (program_settings.task_model, program_settings.prompt_model, program_settings.judge_model)
        if model
    }
    unpriced = sorted(models - program_settings.prices.keys())
    if options.max_cost is not None and unpriced:
        raise SettingsError(
            f"{location}: a limit of cost needs the price of {unpriced[0]} in `prices`, USD a million tokens."
        )


def begin(task: Task) -> Task:
    """Record what a new run begins with."""
    task.run.write_json("run.json", _beginning(task))
    return task


def resume(task: Task) -> Task | None:
    """Return the task of an interrupted run, with its own window; None if it began with other settings."""
    path, now = task.run.path / "run.json", _beginning(task)
    known = read_shaped(path, Beginning)
    same = known is not None and all(getattr(known, key) == now[key] for key in ("content", "asked", "incumbent"))
    if known is None or (not same and not is_made(task)):
        return None
    try:
        return replace(task, now=datetime.fromisoformat(known.until), version=known.incumbent)
    except ValueError as error:
        raise RetrainError(f"{path}: until is not a time ({error}). Remove it, and start again.") from error


def _beginning(task: Task) -> dict[str, str]:
    return {
        "until": task.now.isoformat(),
        "incumbent": task.version,
        "content": task.exported.version(task.version).content_hash,
        "asked": digest(json.dumps([asked_options(task), asdict(task.program_settings)], sort_keys=True, default=str)),
    }


def asked_options(task: Task) -> dict[str, Any]:
    """Return the options that two runs must share to count as the same run."""
    return {**asdict(task.options), "resume": None, "threads": None, "replace": None}


def is_made(task: Task) -> bool:
    """Return whether the run has exported its winner, which may be the incumbent by now."""
    newest = task.exported.version(task.exported.manifest.newest or "")
    return (newest.lineage or {}).get("run") == task.run.path.name


def seen(task: Task, gathered: Gathered) -> dict[str, Any]:
    """Return a digest of the run's data and settings, for comparison with the next run."""
    free = ("window", "dry_run", "verify", "traffic", "canary", "review")
    asked = {key: value for key, value in asked_options(task).items() if key not in free}
    content = task.exported.version(task.version).content_hash
    return {
        "run": task.run.path.name,
        "seen": digest(
            json.dumps(
                [gathered.fingerprint, content, asked, asdict(task.program_settings), task.metric.source], default=str
            )
        ),
    }


def form_notes(task: Task) -> list[str]:
    """Return a note if the settings ask for another prompt form than the incumbent's."""
    program_settings, form = task.program_settings, task.form
    wanted = PromptForm(program_settings.adapter or form.adapter, program_settings.demos or form.demos)
    if wanted == form:
        return []
    return [
        f"{task.version} has the prompt form {form.adapter}, {form.demos}, and the settings say {wanted.adapter}, "
        f"{wanted.demos}: retrain keeps the incumbent's. Export it in the other form first, and evaluate both."
    ]


def model_notes(task: Task) -> list[str]:
    """Return a note if the program is optimized with another model than the one that serves it."""
    task_model, judge = (model_name(task.model_settings[role]) for role in ("task", "judge"))
    if is_served_by(task.served, task_model):
        return []
    serving = ", ".join(f"{model.name} ({', '.join(model.models)})" for model in task.served if model.models)
    lead = f"the task model is {task_model}, and {task.version} is served by {serving}"
    if is_served_by(task.served, judge):
        return [f"{lead}: candidates are searched with the task model, and the promotion test measures with {judge}."]
    return [
        f"{lead}: the promotion test measures with {judge}, so a winner may not be better where it serves. Set "
        "judge_model to the served model, or leave task_model out, and it is the served one."
    ]


def model_name(model: Any) -> str:
    """Return DSPy's name of a model in the settings."""
    return model if isinstance(model, str) else str(model["model"])
