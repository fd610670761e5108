"""What the user's own config defines, read as far as it can be: the gateway judges whether it holds."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def metrics(configs: Path) -> dict[str, Mapping[str, Any]]:
    """Name -> the table of every metric in the TOML files below `configs`; files that are no TOML are passed over."""
    found: dict[str, Mapping[str, Any]] = {}
    for path in sorted(configs.rglob("*.toml")):
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8")).get("metrics", {})
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError):
            continue
        if isinstance(tables, dict):
            found |= {name: table for name, table in tables.items() if isinstance(table, dict) and name not in found}
    return found
