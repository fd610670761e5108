"""Read the tables that the user's own config defines, without errors: the gateway reports what it cannot load."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def toml_files(configs: Path) -> list[Path]:
    """Return the TOML files below `configs` that the gateway reads, hidden files too.

    Links without a target are left out, because some editors lock a file by such a link.
    """
    return [path for path in sorted(configs.rglob("*.toml")) if path.is_file()]


def metrics(configs: Path) -> dict[str, Mapping[str, Any]]:
    """Return the tables of all metrics in the TOML files below `configs`, by name."""
    return _tables(configs, "metrics")


def models(configs: Path) -> dict[str, Mapping[str, Any]]:
    """Return the tables of all models in the TOML files below `configs`, by name."""
    return _tables(configs, "models")


def _tables(configs: Path, section: str) -> dict[str, Mapping[str, Any]]:
    """Return the tables in `section` by name; files that are not TOML are left out."""
    by_name: dict[str, Mapping[str, Any]] = {}
    for path in toml_files(configs):
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8")).get(section, {})
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError):
            continue
        if isinstance(tables, dict):
            by_name |= {
                name: table for name, table in tables.items() if isinstance(table, dict) and name not in by_name
            }
    return by_name
