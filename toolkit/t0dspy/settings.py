"""Settings from flags, environment and `[tool.t0dspy]`, each with the place it came from."""

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
"""Whether a metric compares with a right answer, or judges an answer by itself."""

ModelName = str | Mapping[str, Any]
"""DSPy's name of a model, or a table of `model` and options of `dspy.LM`."""


@dataclass(frozen=True)
class Setting:
    """A value and where it came from: `flag`, `environment NAME`, the path of a file, or `default`."""

    value: str = field(repr=False)  # the URL of ClickHouse may hold a password
    origin: str
    given: bool = True
    """Whether somebody chose the value; if not, it is a default, or that of a stack that runs here."""


@dataclass(frozen=True)
class ProgramSettings:
    """`[tool.t0dspy.programs.NAME]`."""

    program: str
    """Import path, such as `app.review:program`."""
    state: str | None = None
    """A state saved with `program.save("x.json")`, relative to the settings file."""
    signature: str | None = None
    """The program's own contract: `"spec -> review"`, or the import path of a signature class."""
    model: str | None = None
    """The TensorZero model of its predictors."""
    adapter: Text | None = None
    demos: DemoPlace | None = None
    stages_only: bool = False
    stage_timeout: float | None = None
    """Seconds for a predictor's call, retries included."""
    run_timeout: float | None = None
    """Seconds for a run of the whole program."""
    metric: str | None = None
    """`module:function`, in DSPy's conventions."""
    metric_threshold: float = 0.5
    """From which score on a run is good enough for a demo."""
    gold: Gold = "none"
    """Whether the metric needs a right answer."""
    task_model: ModelName | None = None
    """DSPy's name of the model that runs the program while it is optimized, or a table of `dspy.LM`'s options."""
    prompt_model: ModelName | None = None
    """The same, of the model that writes instructions; by default the task model."""
    judge_model: ModelName | None = None
    """The same, of the model that runs both contenders on the holdout; by default the task model."""
    prices: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Model -> `input` and `output`, in US dollars for a million tokens."""
    trainset: str | None = None
    """JSON lines of the user's own, relative to the settings file; the same for the next two."""
    valset: str | None = None
    holdout: str | None = None
    min_examples: int = 20
    """Examples to train and validate with, below which nothing is done."""
    min_feedback: int = 1
    """Pulled examples that people said something of, below which nothing is done."""
    min_holdout: int = 20
    """Examples to judge by, below which nothing is done."""
    min_improvement: float = 0.0
    """How much better than the incumbent a challenger must be, in the metric's own unit."""
    confidence: float = 0.8
    """The confidence in that improvement that the promotion test needs."""
    strict: bool = False
    """Whether the promotion test assumes the largest loss that `score_range` allows."""
    score_range: tuple[float, float] = (0.0, 1.0)
    """The least and the largest score that the metric can give."""
    yearly_risk: float | Literal["off"] = 0.2
    """The largest chance of any false promotion in a year; `off` for no limit beyond that of each decision."""
    yearly_decisions: int = 12
    """How many decisions of the promotion test the year's risk is divided into."""
    max_demos: int = 4
    """Demos of a predictor that an optimizer bootstraps; 0 leaves demos as they are."""
    review: bool = False
    """Whether a retrain exports a winner without traffic, until a person gives it some."""
    curate: Mapping[str, Any] = field(default_factory=dict)
    """Options of curation: `floor`, `tolerance`, `ignore`, `user_tag`, `limit`, `redact` ..."""


@dataclass(frozen=True)
class ApplySettings:
    """`[tool.t0dspy.apply]`: how the gateway is made to load its config."""

    command: tuple[str, ...] = ()
    """A command that restarts the gateway, as a list of its arguments; no shell reads it."""
    data_dir: str = ".t0dspy/stack"
    """Of the embedded stack."""
    service: str = "gateway"
    """The gateway's name in the compose file."""
    project: str | None = None
    """Compose's project; by default the one of the working directory, or the only one there is."""
    timeout: float = 60.0
    """Seconds in which the gateway must serve."""


_CHOICES: dict[str, tuple[str, ...]] = {
    "adapter": get_args(Text),
    "demos": get_args(DemoPlace),
    "gold": get_args(Gold),
}
_NUMBERS = ("stage_timeout", "run_timeout", "timeout")
_LISTS = ("command",)
_SWITCHES = ("stages_only", "strict", "review")
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
    file: Path | None = None
    """The file they were read from; None without one."""

    @property
    def configs_dir(self) -> Path:
        """The directory of TensorZero's config."""
        return Path(self.configs.value)


def load_settings(
    directory: Path | None = None, environment: Mapping[str, str] | None = None, **flags: str | Path | None
) -> Settings:
    """The settings of the project in `directory` (the working directory by default).

    Args:
        directory: where `t0dspy.toml` or `pyproject.toml` is; parents are not searched.
        environment: in place of the process's environment.
        flags: `configs`, `gateway_url`, `clickhouse_url` as given on the command line; None for not given.

    Raises:
        SettingsError: the file is not TOML, or a key is unknown or of the wrong kind.
    """
    directory = directory or Path()
    environment = os.environ if environment is None else environment
    file, table = _read(directory)
    tables = {key: value for key, value in table.items() if isinstance(value, dict)}
    _check_keys(
        table, [*DEFAULTS, "programs", "apply", *(key for key in tables if key == "stack")], f"{file}, [tool.t0dspy]"
    )
    plain = {name: _pick(name, flags.get(name), environment, table, file) for name in DEFAULTS}
    programs = {
        check_program_name(name, f"{file}, [tool.t0dspy.programs]"): _program(
            one, f"{file}, [tool.t0dspy.programs.{name}]"
        )
        for name, one in _table(table.get("programs", {}), f"{file}, [tool.t0dspy.programs]").items()
    }
    apply = _apply(table.get("apply", {}), f"{file}, [tool.t0dspy.apply]")
    return Settings(**plain, programs=programs, apply=apply, file=file)


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


def _program(raw: Any, where: str) -> ProgramSettings:
    table = _table(raw, where)
    _check_keys(table, [one.name for one in fields(ProgramSettings)], where)
    if "program" not in table:
        raise SettingsError(f"{where}: lacks `program`, the import path, such as program = 'app.review:program'.")
    return ProgramSettings(**{key: _checked(key, value, f"{where}, {key}") for key, value in table.items()})


def _apply(raw: Any, where: str) -> ApplySettings:
    table = _table(raw, where)
    _check_keys(table, [one.name for one in fields(ApplySettings)], where)
    return ApplySettings(**{key: _checked(key, value, f"{where}, {key}") for key, value in table.items()})


def _checked(key: str, value: Any, where: str) -> Any:
    check = _CHECKS.get(key)
    if check is not None:
        return check(value, where)
    if key in _RANGES:
        least, most = _RANGES[key]
        return _number(value, where, least, most)
    if key in _SWITCHES:
        if not isinstance(value, bool):
            raise SettingsError(f"{where}: is {value!r}; write true or false.")
        return value
    if key in _NUMBERS:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise SettingsError(f"{where}: is {value!r}; write a number of seconds above 0.")
        return float(value)
    if key in _LISTS:
        if not isinstance(value, list) or not value:
            raise SettingsError(f"{where}: is {value!r}; write a list of texts, such as ['kubectl', 'rollout', ...].")
        return tuple(_text(one, where) for one in value)
    choices = _CHOICES.get(key)
    if choices and value not in choices:
        raise SettingsError(f"{where}: is {value!r}; write one of {', '.join(choices)}.")
    return _text(value, where)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise SettingsError(f"{where}: is {value!r}; write a text in quotes.")
    return value


def _number(value: Any, where: str, least: float = -math.inf, most: float = math.inf) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        limits = "" if least == -math.inf else f" from {least:g}" + ("" if most == math.inf else f" to {most:g}")
        raise SettingsError(f"{where}: is {value!r}; write a number{limits}.")
    return float(value)


def _count(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise SettingsError(f"{where}: is {value!r}; write a whole number, 0 or more.")
    return value


def _range(value: Any, where: str) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise SettingsError(f"{where}: is {value!r}; write the least and the largest score, such as [0, 1].")
    low, high = (_number(each, where) for each in value)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise SettingsError(f"{where}: is {value!r}; write two finite numbers, the smaller one first.")
    return low, high


def _yearly_risk(value: Any, where: str) -> float | str:
    if value == "off":
        return "off"
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise SettingsError(f"{where}: is {value!r}; write a number above 0, up to 1, or 'off'.")
    return float(value)


def _decisions(value: Any, where: str) -> int:
    if not _count(value, where):
        raise SettingsError(f"{where}: is 0; write how many decisions a year you plan, 1 or more.")
    return int(value)


def _model(value: Any, where: str) -> ModelName:
    if isinstance(value, str) and value:
        return value
    if not isinstance(value, dict) or not isinstance(value.get("model"), str):
        raise SettingsError(
            f"{where}: is {value!r}; write a name such as 'openai/gpt-4o-mini', or a table with `model`."
        )
    secret = next((name for name in _SECRETS if name in value), None)
    if secret is not None:
        raise SettingsError(f"{where}: {secret} is a secret; put it into the environment, as DSPy reads it there.")
    return value


def _prices(value: Any, where: str) -> dict[str, dict[str, float]]:
    prices = {}
    for model, raw in _table(value, where).items():
        price = _table(raw, f"{where}, {model}")
        _check_keys(price, ["input", "output"], f"{where}, {model}")
        if price.keys() != {"input", "output"}:
            raise SettingsError(
                f"{where}, {model}: write {{ input = ..., output = ... }}, dollars for a million tokens."
            )
        prices[model] = {key: _number(one, f"{where}, {model}, {key}", 0.0) for key, one in price.items()}
    return prices


_CHECKS: dict[str, Callable[[Any, str], Any]] = {
    **dict.fromkeys(_COUNTS, _count),
    **dict.fromkeys(_MODELS, _model),
    "prices": _prices,
    "score_range": _range,
    "yearly_risk": _yearly_risk,
    "yearly_decisions": _decisions,
    "curate": lambda value, where: _table(value, where),
}


def _table(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SettingsError(f"{where}: is {value!r}; write a table.")
    return value


def _check_keys(table: Mapping[str, Any], known: list[str], where: str) -> None:
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}."
            raise SettingsError(f"{where}: unknown key {key!r}; {hint}")
