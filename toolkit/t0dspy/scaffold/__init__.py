"""Plan and write the files that a project needs for t0dspy: settings, a base config and a metric stub."""

import os
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from localkit.private import IGNORE_ALL, PROJECT
from t0dspy.errors import SettingsError

SETTINGS, CONFIG, METRIC = "t0dspy.toml", "configs/tensorzero.toml", "metric.py"
IGNORE = f"{PROJECT}/.gitignore"
_TEXTS = {SETTINGS: "settings.toml", CONFIG: "tensorzero.toml", METRIC: "metric.py.txt"}


@dataclass(frozen=True)
class Scaffold:
    """The files to write below `directory`, none of which exists."""

    directory: Path
    files: Mapping[str, str] = field(repr=False)
    """The text of each file, by path."""
    kept: Sequence[str]
    """The reasons why other files are not written, such as `t0dspy.toml is there`."""


def plan(directory: Path) -> Scaffold:
    """Plan the files that `directory` lacks.

    Args:
        directory: a project, which need not exist.

    Raises:
        SettingsError: it is not a directory, or a file in it cannot be read.
    """
    if directory.exists() and not directory.is_dir():
        raise SettingsError(f"{directory} is a file. Name the directory of your project.")
    present = {SETTINGS: _settings(directory), CONFIG: _config(directory), METRIC: _metric(directory)}
    missing = {path: _text(path) for path, why in present.items() if why is None}
    if not os.path.lexists(directory / IGNORE):
        missing[IGNORE] = IGNORE_ALL
    return Scaffold(directory, missing, [why for why in present.values() if why is not None])


def write(scaffold: Scaffold) -> None:
    """Write the files of a plan, and never overwrite a file.

    Raises:
        SettingsError: a file cannot be written, or it was created after the plan was made; earlier files stay.
    """
    for path, text in scaffold.files.items():
        place = scaffold.directory / path
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError as error:
            raise SettingsError(f"{place} was just created by another process. Check it, and try again.") from error
        except OSError as error:
            raise SettingsError(f"{place} cannot be written: {error.strerror or error}.") from error


def _text(path: str) -> str:
    return files("t0dspy.scaffold").joinpath(_TEXTS[path]).read_text(encoding="utf-8")


def _settings(directory: Path) -> str | None:
    if os.path.lexists(directory / SETTINGS):
        return f"{SETTINGS} is there"
    project = directory / "pyproject.toml"
    if not project.is_file():
        return None
    try:
        tool = tomllib.loads(project.read_text(encoding="utf-8")).get("tool", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingsError(f"{project}: cannot be read as TOML: {error}") from error
    return "pyproject.toml has [tool.t0dspy]" if isinstance(tool, dict) and "t0dspy" in tool else None


def _config(directory: Path) -> str | None:
    configs = directory / "configs"
    if os.path.lexists(configs) and not configs.is_dir():
        raise SettingsError(f"{configs} is a file, but TensorZero's config must be in a directory of that name.")
    with suppress(FileNotFoundError):
        names = sorted(path.name for path in configs.iterdir() if path.suffix == ".toml" or path == directory / CONFIG)
        return f"configs/{names[0]} is there" if names else None
    return None


def _metric(directory: Path) -> str | None:
    return f"{METRIC} is there" if os.path.lexists(directory / METRIC) else None
