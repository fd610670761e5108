"""Check a planned export against the rest of the config: function names must be free, and models must exist."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from t0dspy.artifact.bundle import MANIFEST
from t0dspy.artifact.manifest import Manifest
from t0dspy.artifact.user_config import toml_files
from t0dspy.errors import SettingsError
from t0dspy.model import CompiledProgram


def check(configs: Path, directory: Path, manifest: Manifest, compiled: CompiledProgram) -> None:
    """Check a planned tree against every other TOML file below `configs`.

    Args:
        configs: the directory of TensorZero's config.
        directory: the program's own directory, left out of the check.
        manifest: the program's manifest, with what is about to be written.
        compiled: the program, for the models it names.

    Raises:
        SettingsError: a function is defined elsewhere too, a model is defined nowhere, or a file is not TOML.
    """
    others = list(_other_configs(configs, directory))
    for path, config in others:
        for name in manifest.functions:
            if name in _table(path, config, "functions"):
                raise SettingsError(f"{path} has a function {name!r} already. Export under another --name.")
    known = {name for path, config in others if not _is_ours(path) for name in _table(path, config, "models")}
    users = [(predictor.path, predictor.model) for predictor in compiled.predictors]
    for user, model in [*users, *((f"the LM {lm.lm}", lm.model) for lm in compiled.lms.values())]:
        if "::" not in model and model not in known:
            listed = f"it defines {', '.join(sorted(known))}" if known else "it defines none"
            raise SettingsError(
                f"model {model!r} of {user}: no [models.{model}] in {configs}/**/*.toml "
                f"({listed}). Add it, or name a provider's model such as openai::gpt-4o-mini."
            )


def _table(path: Path, config: dict[str, Any], name: str) -> dict[str, Any]:
    table = config.get(name, {})
    if not isinstance(table, dict):
        raise SettingsError(f"{path}: {name} is {table!r}; it must be a table, [{name}].")
    return table


def _other_configs(configs: Path, directory: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in toml_files(configs):
        if directory in path.parents:
            continue
        try:
            yield path, tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise SettingsError(f"{path}: cannot be read as TOML: {error}") from error


def _is_ours(path: Path) -> bool:
    """Return whether the file belongs to another program, whose model is the program server."""
    return path.name == "program.toml" and (path.parent / MANIFEST).exists()
