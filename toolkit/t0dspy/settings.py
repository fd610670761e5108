"""Load settings from flags, the environment and `[tool.t0dspy]`, each with its origin."""

import difflib
import math
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from t0dspy.artifact.names import check_program_name
from t0dspy.errors import SettingsError
from t0dspy.model import DemoPlace, Text

DEFAULTS = {
    "configs": "configs",
    "gateway_url": "http://localhost:3000",
    "clickhouse_url": "http://localhost:8123/tensorzero",
}
_ENVIRONMENT = {"gateway_url": "TENSORZERO_GATEWAY_URL", "clickhouse_url": "TENSORZERO_CLICKHOUSE_URL"}


Gold = Literal["required", "none"]
"""Whether a metric needs an expected answer or scores an answer without one."""

ModelName = str | Mapping[str, Any]
"""DSPy's name of a model, or a table with `model` and options of `dspy.LM`."""


@dataclass(frozen=True)
class Setting:
    """A value and its origin: `flag`, `environment NAME`, the path of a file, or `default`."""

    value: str = field(repr=False)  # the URL of ClickHouse may contain a password
    origin: str
    given: bool = True
    """True if the user set the value; False for a default, or the value of a stack that runs here."""


@dataclass(frozen=True)
class ProgramSettings:
    """`[tool.t0dspy.programs.NAME]`."""

    program: str
    """The import path, such as `app.review:program`."""
    state: str | None = None
    """A state saved with `program.save("x.json")`, relative to the settings file."""
    signature: str | None = None
    """The program's contract: `"spec -> review"`, or the import path of a signature class."""
    model: str | None = None
    """The TensorZero model of its LM."""
    models: Mapping[str, str] = field(default_factory=dict)
    """The same by predictor, LM or attribute, if the program has several LMs."""
    keep: tuple[str, ...] = ()
    """The paths of predictors and modules that stay in Python."""
    adapter: Text | None = None
    """The adapter text of its prompts."""
    demos: DemoPlace | None = None
    """Where its prompts have the demos."""
    run_proof: bool = True
    """Whether an export runs the program, in DSPy and served, which executes its code."""
    stages_only: bool = False
    """Whether exports omit the program function."""
    stage_timeout: float | None = None
    """The time limit of a predictor's call with its retries, in seconds."""
    run_timeout: float | None = None
    """The time limit of a run of the whole program, in seconds."""
    metric: str | None = None
    """The import path of a metric, `module:function`, with DSPy's signature of metrics."""
    metric_threshold: float = 0.5
    """The minimum score of a run that can become a demo."""
    gold: Gold = "none"
    """Whether the metric needs an expected answer."""
    task_model: ModelName | None = None
    """The model that runs the program during optimization."""
    prompt_model: ModelName | None = None
    """The model that writes instructions; the task model by default."""
    judge_model: ModelName | None = None
    """The model that runs incumbent and challenger on the holdout; the task model by default."""
    prices: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Model -> `input` and `output`, in US dollars per million tokens."""
    trainset: str | None = None
    """A JSON-lines file of training examples, relative to the settings file."""
    valset: str | None = None
    """The same for validation examples."""
    holdout: str | None = None
    """The same for holdout examples."""
    min_examples: int = 20
    """The minimum number of training and validation examples for a retrain."""
    min_feedback: int = 1
    """The minimum number of pulled examples with feedback for a retrain."""
    min_holdout: int = 20
    """The minimum number of holdout examples for a retrain."""
    min_improvement: float = 0.0
    """The improvement over the incumbent that a challenger needs, in the unit of the metric."""
    confidence: float = 0.8
    """The confidence in that improvement that the promotion test needs."""
    strict: bool = False
    """Whether the promotion test assumes the largest loss that `score_range` allows."""
    score_range: tuple[float, float] = (0.0, 1.0)
    """The smallest and the largest score that the metric can return."""
    yearly_risk: float | Literal["off"] = 0.2
    """The largest chance of any false promotion in a year; `off` for no limit beyond that of each decision."""
    yearly_decisions: int = 12
    """The number of promotion tests per year among which `yearly_risk` is divided."""
    max_demos: int = 4
    """The maximum number of demos per predictor that an optimizer bootstraps; 0 keeps the present demos."""
    review: bool = False
    """Whether a retrain exports a winner without traffic, for review by a person."""
    curate: Mapping[str, Any] = field(default_factory=dict)
    """Options of curation: `floor`, `tolerance`, `ignore`, `user_tag`, `limit`, `redact` ..."""


@dataclass(frozen=True)
class ApplySettings:
    """`[tool.t0dspy.apply]`: how `apply` makes the gateway load its config."""

    command: tuple[str, ...] = ()
    """A command that restarts the gateway, as a list of arguments; it does not run in a shell."""
    data_dir: str = ".t0dspy/stack"
    """The data directory of the embedded stack."""
    service: str = "gateway"
    """The gateway's name in the compose file."""
    project: str | None = None
    """The Compose project; by default that of the working directory, or the only project."""
    timeout: float = 60.0
    """The time limit for the gateway to serve the new config, in seconds."""


_CHOICES: dict[str, tuple[str, ...]] = {
    "adapter": get_args(Text),
    "demos": get_args(DemoPlace),
    "gold": get_args(Gold),
}
_NUMBERS = ("stage_timeout", "run_timeout", "timeout")
_LISTS = {"command": "['kubectl', 'rollout', ...]", "keep": "['see', 'chat']"}
"""Key of a list of strings -> an example."""
_SWITCHES = ("stages_only", "run_proof", "strict", "review")
_COUNTS = ("min_examples", "min_feedback", "min_holdout", "max_demos")
_RANGES = {"confidence": (0.5, 1.0), "min_improvement": (0.0, math.inf), "metric_threshold": (-math.inf, math.inf)}
_MODELS = ("task_model", "prompt_model", "judge_model")
_SECRETS = ("api_key", "headers", "extra_headers")


@dataclass(frozen=True)
class Settings:
    """All settings of a project."""

    configs: Setting
    gateway_url: Setting
    clickhouse_url: Setting
    programs: Mapping[str, ProgramSettings] = field(default_factory=dict)
    apply: ApplySettings = field(default_factory=ApplySettings)
    models: Mapping[str, str] = field(default_factory=dict)
    """DSPy's name of an LM, with `@ADDRESS` if several have it -> the TensorZero model, for all programs."""
    file: Path | None = None
    """The settings file; None if there is none."""

    @property
    def configs_dir(self) -> Path:
        """Return the directory of TensorZero's config."""
        return Path(self.configs.value)


def load_settings(
    directory: Path | None = None, environment: Mapping[str, str] | None = None, **flags: str | Path | None
) -> Settings:
    """Load the settings of the project in `directory` (the working directory by default).

    Args:
        directory: the directory of `t0dspy.toml` or `pyproject.toml`; its parents are not searched.
        environment: replaces the environment of the process.
        flags: `configs`, `gateway_url`, `clickhouse_url` from the command line; None if not given.

    Returns:
        The settings, with defaults for what is not set. A flag overrides the environment, which overrides the file.

    Raises:
        SettingsError: if the file is not TOML, or a key is unknown or has a value of the wrong type.
    """
    directory = directory or Path()
    environment = os.environ if environment is None else environment
    file, table = _read(directory)
    tables = {key: value for key, value in table.items() if isinstance(value, dict)}
    _check_keys(
        table,
        [*DEFAULTS, "programs", "apply", "models", *(key for key in tables if key == "stack")],
        f"{file}, [tool.t0dspy]",
    )
    plain = {name: _pick(name, flags.get(name), environment, table, file) for name in DEFAULTS}
    programs = {
        check_program_name(name, f"{file}, [tool.t0dspy.programs]"): _program(
            program, f"{file}, [tool.t0dspy.programs.{name}]"
        )
        for name, program in _table(table.get("programs", {}), f"{file}, [tool.t0dspy.programs]").items()
    }
    apply = _apply(table.get("apply", {}), f"{file}, [tool.t0dspy.apply]")
    models = _names(table.get("models", {}), f"{file}, [tool.t0dspy.models]")
    return Settings(**plain, programs=programs, apply=apply, models=models, file=file)


def _read(directory: Path) -> tuple[Path | None, dict[str, Any]]:
    for name, place in (("t0dspy.toml", ()), ("pyproject.toml", ("tool", "t0dspy"))):
        path = directory / name
        if not path.is_file():
            continue
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise SettingsError(f"{path}: cannot be read as TOML: {error}") from error
        for key in place:
            table = _table(table.get(key, {}), f"{path}, {key}")
        if table or name == "t0dspy.toml":
            return path, _table(table, f"{path}, [tool.t0dspy]")
    return None, {}


def _pick(
    name: str, flag: str | Path | None, environment: Mapping[str, str], table: Mapping[str, Any], file: Path | None
) -> Setting:
    variable = _ENVIRONMENT.get(name, "")
    if flag is not None:
        return Setting(str(flag), "flag")
    if environment.get(variable):
        return Setting(environment[variable], f"environment {variable}")
    if name in table:
        return Setting(_text(table[name], f"{file}, {name}"), str(file))
    return Setting(DEFAULTS[name], "default", given=False)


def _program(raw: Any, location: str) -> ProgramSettings:
    table = _table(raw, location)
    _check_keys(table, [field.name for field in fields(ProgramSettings)], location)
    if "program" not in table:
        raise SettingsError(f"{location}: lacks `program`, the import path, such as program = 'app.review:program'.")
    return ProgramSettings(**{key: _check(key, value, f"{location}, {key}") for key, value in table.items()})


def _apply(raw: Any, location: str) -> ApplySettings:
    table = _table(raw, location)
    _check_keys(table, [field.name for field in fields(ApplySettings)], location)
    return ApplySettings(**{key: _check(key, value, f"{location}, {key}") for key, value in table.items()})


def _check(key: str, value: Any, location: str) -> Any:
    check = _CHECKS.get(key)
    if check is not None:
        return check(value, location)
    if key in _RANGES:
        least, most = _RANGES[key]
        return _number(value, location, least, most)
    if key in _SWITCHES:
        if not isinstance(value, bool):
            raise SettingsError(f"{location}: is {value!r}; write true or false.")
        return value
    if key in _NUMBERS:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise SettingsError(f"{location}: is {value!r}; write a number of seconds above 0.")
        return float(value)
    if key in _LISTS:
        if not isinstance(value, list) or not value:
            raise SettingsError(f"{location}: is {value!r}; write a list of strings, such as {_LISTS[key]}.")
        return tuple(_text(item, location) for item in value)
    choices = _CHOICES.get(key)
    if choices and value not in choices:
        raise SettingsError(f"{location}: is {value!r}; write one of {', '.join(choices)}.")
    return _text(value, location)


def _text(value: Any, location: str) -> str:
    if not isinstance(value, str) or not value:
        raise SettingsError(f"{location}: is {value!r}; write a string in quotes.")
    return value


def _number(value: Any, location: str, least: float = -math.inf, most: float = math.inf) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        limits = "" if least == -math.inf else f" from {least:g}" + ("" if most == math.inf else f" to {most:g}")
        raise SettingsError(f"{location}: is {value!r}; write a number{limits}.")
    return float(value)


def _count(value: Any, location: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise SettingsError(f"{location}: is {value!r}; write a whole number, 0 or more.")
    return value


def _range(value: Any, location: str) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise SettingsError(f"{location}: is {value!r}; write the smallest and the largest score, such as [0, 1].")
    low, high = (_number(each, location) for each in value)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise SettingsError(f"{location}: is {value!r}; write two finite numbers, the smaller one first.")
    return low, high


def _yearly_risk(value: Any, location: str) -> float | str:
    if value == "off":
        return "off"
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise SettingsError(f"{location}: is {value!r}; write a number above 0, up to 1, or 'off'.")
    return float(value)


def _decisions(value: Any, location: str) -> int:
    if not _count(value, location):
        raise SettingsError(f"{location}: is 0; write how many decisions per year you plan, 1 or more.")
    return int(value)


def _model(value: Any, location: str) -> ModelName:
    if isinstance(value, str) and value:
        return value
    if not isinstance(value, dict) or not isinstance(value.get("model"), str):
        raise SettingsError(
            f"{location}: is {value!r}; write a name such as 'openai/gpt-4o-mini', or a table with `model`."
        )
    secret = next((name for name in _SECRETS if name in value), None)
    if secret is not None:
        raise SettingsError(f"{location}: {secret} is a secret; set it in the environment, from which DSPy reads it.")
    return value


def _prices(value: Any, location: str) -> dict[str, dict[str, float]]:
    prices = {}
    for model, raw in _table(value, location).items():
        price = _table(raw, f"{location}, {model}")
        _check_keys(price, ["input", "output"], f"{location}, {model}")
        if price.keys() != {"input", "output"}:
            raise SettingsError(
                f"{location}, {model}: write {{ input = ..., output = ... }}, dollars per million tokens."
            )
        prices[model] = {key: _number(amount, f"{location}, {model}, {key}", 0.0) for key, amount in price.items()}
    return prices


_CHECKS: dict[str, Callable[[Any, str], Any]] = {
    **dict.fromkeys(_COUNTS, _count),
    **dict.fromkeys(_MODELS, _model),
    "models": lambda value, location: _names(value, location),
    "prices": _prices,
    "score_range": _range,
    "yearly_risk": _yearly_risk,
    "yearly_decisions": _decisions,
    "curate": lambda value, location: _table(value, location),
}


def _names(value: Any, location: str) -> dict[str, str]:
    return {name: _text(text, f"{location}, {name}") for name, text in _table(value, location).items()}


def _table(value: Any, location: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SettingsError(f"{location}: is {value!r}; write a table.")
    return value


def _check_keys(table: Mapping[str, Any], known: list[str], location: str) -> None:
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}."
            raise SettingsError(f"{location}: unknown key {key!r}; {hint}")
