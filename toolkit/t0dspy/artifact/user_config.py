"""What the user's own config defines, read as far as it can be: the gateway judges whether it holds."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def toml_files(configs: Path) -> list[Path]:
    """The files below `configs` that the gateway reads: hidden ones too, but no link that leads nowhere.

    Such links are how some editors lock a file that is being changed.
    """
    return [path for path in sorted(configs.rglob("*.toml")) if path.is_file()]


def metrics(configs: Path) -> dict[str, Mapping[str, Any]]:
    """Return the tables of all metrics in the TOML files below `configs`, by name."""
    return _tables(configs, "metrics")


def models(configs: Path) -> dict[str, Mapping[str, Any]]:
    """Return the tables of all models in the TOML files below `configs`, by name."""
    return _tables(configs, "models")


def _tables(configs: Path, section: str) -> dict[str, Mapping[str, Any]]:
    """Return the tables in `section`; files that are not TOML are passed over."""
    found: dict[str, Mapping[str, Any]] = {}
    for path in toml_files(configs):
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8")).get(section, {})
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError):
            continue
        if isinstance(tables, dict):
            found |= {name: table for name, table in tables.items() if isinstance(table, dict) and name not in found}
    return found
