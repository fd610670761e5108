"""One retrain of one program: what was asked, of which incumbent, and where it stands."""

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
    """One retrain of one program, with all that it needs."""

    name: str
    own: ProgramSettings
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
    """The gateway's models of the incumbent."""
    key: str | None = field(default=None, repr=False)
    """The secret of a task model that is the served one, because the settings name none."""

    @property
    def base(self) -> Path:
        """What paths in the settings are relative to."""
        return self.settings.file.parent if self.settings.file else Path()

    @property
    def form(self) -> PromptForm:
        """The incumbent's prompt form, which the challenger has too."""
        return self.exported.version(self.version).form

    @property
    def review(self) -> bool:
        """Whether a winner gets no traffic until a person decides."""
        return self.own.review if self.options.review is None else self.options.review

    @property
    def log(self) -> Path | None:
        """Where the optimizer's own output goes."""
        return None if self.options.dry_run else self.run.path / "optimizer.log"

    @property
    def model_settings(self) -> dict[str, Any]:
        """Role -> the model as the settings name it."""
        task = self.own.task_model
        if self.key is not None and isinstance(task, Mapping):
            task = {**task, "api_key": self.key}
        return {"task": task, "prompt": self.own.prompt_model or task, "judge": self.own.judge_model or task}

    @property
    def prices(self) -> dict[str, Price]:
        """DSPy's name of a model -> its price."""
        return {model: Price(**price) for model, price in self.own.prices.items()}


def checked(name: str, settings: Settings, options: RetrainOptions) -> ProgramSettings:
    """The program's settings, once it is clear that they and the options can work.

    Raises:
        SettingsError: what is missing or wrong.
    """
    if check_program_name(name) not in settings.programs:
        known = ", ".join(settings.programs) or "none"
        raise SettingsError(f"no settings for the program {name!r} (configured: {known}); its metric is read there.")
    own = settings.programs[name]
    where = f"{settings.file}, [tool.t0dspy.programs.{name}]"
    if not own.metric:
        raise SettingsError(f"{where}: lacks `metric`, such as metric = 'app.metrics:grade'.")
    if options.share:
        check_share(options.share, "the winner")
    for limit, least in ((options.max_calls, 1), (options.max_cost, 0)):
        if limit is not None and not limit >= least:  # NaN too, which would be no limit
            raise SettingsError(f"a limit of {limit:g}: give one above 0.")
    return own


def with_models(task: Task, environment: Mapping[str, str]) -> Task:
    """Return the task with the models that serve the incumbent, one of which runs the program if no setting names it.

    Raises:
        SettingsError: no setting names the task model and the served one is not known to DSPy; or a price is missing.
    """
    names = {one.model for one in task.exported.version(task.version).predictors.values()}
    served = [served_model(task.settings.configs_dir, name, environment) for name in sorted(names)]
    where = f"{task.settings.file}, [tool.t0dspy.programs.{task.name}]"
    own, key = task.own, None
    if not own.task_model:
        if len(served) != 1 or served[0].setting is None:
            raise SettingsError(
                f"{where}: lacks `task_model`, such as task_model = 'openai/gpt-4o-mini'. It cannot be the model that "
                f"serves {task.version} ({', '.join(sorted(names))}), because that is not one model that DSPy can name."
            )
        own, key = replace(own, task_model=served[0].setting), served[0].key
    _check_prices(own, task.options, where)
    return replace(task, own=own, served=served, key=key)


def _check_prices(own: ProgramSettings, options: RetrainOptions, where: str) -> None:
    models = {model_name(model) for model in (own.task_model, own.prompt_model, own.judge_model) if model}
    unpriced = sorted(models - own.prices.keys())
    if options.max_cost is not None and unpriced:
        raise SettingsError(
            f"{where}: a limit of cost needs the price of {unpriced[0]} in `prices`, USD a million tokens."
        )


def begin(task: Task) -> Task:
    """Note what a new run begins with."""
    task.run.write_json("run.json", _beginning(task))
    return task


def gone_on(task: Task) -> Task | None:
    """The task of a run that was cut off, with its own window; None when it began with something else."""
    path, now = task.run.path / "run.json", _beginning(task)
    known = read_shaped(path, Beginning)
    same = known is not None and all(getattr(known, key) == now[key] for key in ("content", "asked", "incumbent"))
    if known is None or (not same and not is_made(task)):
        return None
    try:
        return replace(task, now=datetime.fromisoformat(known.until), version=known.incumbent)
    except ValueError as error:
        raise RetrainError(f"{path}: until is not a time ({error}). Remove it to start anew.") from error


def _beginning(task: Task) -> dict[str, str]:
    return {
        "until": task.now.isoformat(),
        "incumbent": task.version,
        "content": task.exported.version(task.version).content_hash,
        "asked": digest(json.dumps([asked_options(task), asdict(task.own)], sort_keys=True, default=str)),
    }


def asked_options(task: Task) -> dict[str, Any]:
    """The options that make a run another one."""
    return {**asdict(task.options), "resume": None, "threads": None, "replace": None}


def is_made(task: Task) -> bool:
    """Whether the run exported its winner already: with the whole share it is the incumbent now."""
    newest = task.exported.version(task.exported.manifest.newest or "")
    return (newest.lineage or {}).get("run") == task.run.path.name


def seen(task: Task, gathered: Gathered) -> dict[str, Any]:
    """What the run has seen, as the next one compares it."""
    free = ("window", "dry_run", "verify", "traffic", "canary", "review")
    asked = {key: value for key, value in asked_options(task).items() if key not in free}
    content = task.exported.version(task.version).content_hash
    return {
        "run": task.run.path.name,
        "seen": digest(
            json.dumps([gathered.fingerprint, content, asked, asdict(task.own), task.metric.source], default=str)
        ),
    }


def form_notes(task: Task) -> list[str]:
    """A note where the settings ask for another prompt form than the incumbent has."""
    own, form = task.own, task.form
    wanted = PromptForm(own.adapter or form.adapter, own.demos or form.demos)
    if wanted == form:
        return []
    return [
        f"{task.version} has the prompt form {form.adapter}, {form.demos}, and the settings say {wanted.adapter}, "
        f"{wanted.demos}: retrain keeps the incumbent's. Export it in the other form first, and evaluate both."
    ]


def model_notes(task: Task) -> list[str]:
    """Return a note where the program is optimized with another model than the one that serves it."""
    task_model, judge = (model_name(task.model_settings[role]) for role in ("task", "judge"))
    if is_served_by(task.served, task_model):
        return []
    serving = ", ".join(f"{one.name} ({', '.join(one.models)})" for one in task.served if one.models)
    lead = f"the task model is {task_model}, and {task.version} is served by {serving}"
    if is_served_by(task.served, judge):
        return [f"{lead}: candidates are searched with the one, and the winner is measured with {judge}."]
    return [
        f"{lead}: the promotion test measures with {judge}, so a winner may not be better where it serves. Set "
        "judge_model to the served model, or leave task_model out, and it is the served one."
    ]


def model_name(model: Any) -> str:
    """DSPy's name of a model in the settings."""
    return model if isinstance(model, str) else str(model["model"])
