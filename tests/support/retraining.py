"""Readers of what a retrain wrote."""

import json
from typing import Any

from support.looped import Project


def report(found: Any) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((found.directory / "report.json").read_text())
    return read


def account(shop: Project) -> list[dict[str, Any]]:
    """The decisions that the holdout was asked for."""
    path = shop.directory / ".t0dspy/retrain/shout/holdout.json"
    found: list[dict[str, Any]] = json.loads(path.read_text())["questions"] if path.exists() else []
    return found
