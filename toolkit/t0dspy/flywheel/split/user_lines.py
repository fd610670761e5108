"""Read data files of JSON lines: flat objects of fields, or lines of `t0dspy pull`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from t0dspy.errors import SettingsError


def read_examples(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects in the JSON lines of `path` as flat objects of fields; blank lines are skipped.

    A line of `t0dspy pull` becomes an object of its inputs and outputs, and one more for each of its stages.

    Raises:
        SettingsError: the file cannot be read, or a line is not a JSON object; the message names the line.
    """
    for value, location in read_json_lines(path):
        yield from _flatten(value, location)


def read_json_lines(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield each object in the JSON lines of `path`, with its location for messages; blank lines are skipped.

    Raises:
        SettingsError: the file cannot be read, or a line is not a JSON object; the message names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # not splitlines(), which splits texts at U+2028 too
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read ({error}).") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            location = f"{path}, line {number}"
            yield _parse(line, location), location


def _parse(line: str, location: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{location}: not JSON ({error}). Write one object a line.") from error
    return _object(value, location)


def _flatten(value: dict[str, Any], location: str) -> Iterator[dict[str, Any]]:
    if not isinstance(value.get("inputs"), dict):
        yield value
        return
    stages = value.get("stages") or []
    if not isinstance(stages, list):
        raise SettingsError(f"{location}: `stages` is {type(stages).__name__}, not a list.")
    for each in (value, *(_object(stage, f"{location}: a stage") for stage in stages)):
        inputs, outputs = _object(each.get("inputs"), f"{location}: `inputs`"), each.get("outputs") or {}
        yield {**inputs, **_object(outputs, f"{location}: `outputs`")}


def _object(value: Any, location: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SettingsError(f"{location} is {type(value).__name__}, not an object of fields such as {{...}}.")
    return value
