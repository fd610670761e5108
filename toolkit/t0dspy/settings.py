"""Settings from flags, environment and `[tool.t0dspy]`, each with the place it came from."""

import difflib
import math
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from t0dspy.errors import SettingsError
from t0dspy.model import DemoPlace, Text

DEFAULTS = {
    "configs": "configs",
    "gateway_url": "http://localhost:3000",
    "clickhouse_url": "http://localhost:8123/tensorzero",
}
_ENVIRONMENT = {"gateway_url": "TENSORZERO_GATEWAY_URL", "clickhouse_url": "TENSORZERO_CLICKHOUSE_URL"}


@dataclass(frozen=True)
class Setting:
    """A value and where it came from: `flag`, `environment NAME`, the path of a file, or `default`."""

    value: str
    origin: str


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


_CHOICES: dict[str, tuple[str, ...]] = {"adapter": get_args(Text), "demos": get_args(DemoPlace)}
_NUMBERS = ("stage_timeout", "run_timeout", "timeout")
_LISTS = ("command",)
_SWITCHES = ("stages_only",)


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


Flag = Literal["configs", "gateway_url", "clickhouse_url"]


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
        name: _program(one, f"{file}, [tool.t0dspy.programs.{name}]")
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
    return Setting(DEFAULTS[name], "default")


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
