"""Read the tables that the user's own config defines, without errors: the gateway reports what it cannot load."""

import tomllib
from collections.abc import Iterator, Mapping
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


def section(configs: Path, name: str) -> Mapping[str, Any] | None:
    """Return the top-level table `name` of the TOML files below `configs`; None if none of them has it."""
    return next((table for table in _sections(configs, name)), None)


def _sections(configs: Path, name: str) -> Iterator[Mapping[str, Any]]:
    """Yield the top-level tables `name`; files that are not TOML are left out."""
    for path in toml_files(configs):
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8")).get(name)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError):
            continue
        if isinstance(table, dict):
            yield table


def _tables(configs: Path, name: str) -> dict[str, Mapping[str, Any]]:
    """Return the tables in the top-level tables `name`, by their own name."""
    by_name: dict[str, Mapping[str, Any]] = {}
    for tables in _sections(configs, name):
        by_name |= {key: table for key, table in tables.items() if isinstance(table, dict) and key not in by_name}
    return by_name
