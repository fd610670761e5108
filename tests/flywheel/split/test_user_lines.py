"""Data files: JSON lines, flat or as `t0dspy pull` writes them."""

import json
from pathlib import Path
from typing import Any

import pytest

from t0dspy.errors import SettingsError
from t0dspy.flywheel.split.user_lines import read_examples


def read(project: Path, text: str) -> list[dict[str, Any]]:
    path = project / "data.jsonl"
    path.write_text(text, encoding="utf-8", newline="")
    return list(read_examples(path))


def test_flat_lines(project: Path) -> None:
    """One object a line; blank lines and either line end are fine."""
    assert read(project, '{"a": 1}\n\n  \n{"a": "é"}\r\n{"a": null}') == [{"a": 1}, {"a": "é"}, {"a": None}]


def test_characters_that_other_tools_take_for_line_ends(project: Path) -> None:
    """Only a newline ends a line: U+2028, form feeds and NEL may stand in a text."""
    rows = [{"a": "x\u2028y\u2029z\x85\x0b\x0c\x1c"}, {"a": "b"}]
    assert read(project, "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)) == rows


def test_pulled_lines_give_their_stages_too(project: Path) -> None:
    """The program's inputs and outputs, then those of each stage."""
    line = {
        "inputs": {"a": 1},
        "outputs": {"b": 2},
        "stages": [{"inputs": {"c": 3}, "outputs": None, "predictor": "p"}],
    }
    assert read(project, json.dumps(line)) == [{"a": 1, "b": 2}, {"c": 3}]
    assert read(project, json.dumps({"inputs": {"a": 1}, "outputs": None, "stages": None})) == [{"a": 1}]


MISTAKES = [
    ('{"a": 1}\n{"a"', "line 2: not JSON"),
    ("[1]", "line 1 is list, not an object of fields"),
    ("5", "line 1 is int, not an object of fields"),
    ('{"inputs": {}, "outputs": 5}', "line 1: `outputs` is int, not an object of fields"),
    ('{"inputs": {}, "stages": 5}', "line 1: `stages` is int, not a list"),
    ('{"inputs": {}, "stages": [5]}', "line 1: a stage is int, not an object of fields"),
    ('{"inputs": {}, "stages": [{}]}', "line 1: `inputs` is NoneType, not an object of fields"),
    ("[" * 100_000, "line 1: not JSON"),
]


@pytest.mark.parametrize(("text", "reason"), MISTAKES, ids=range(len(MISTAKES)))
def test_mistakes_are_said_with_their_line(project: Path, text: str, reason: str) -> None:
    """The file, the line, and what is wrong with it."""
    with pytest.raises(SettingsError) as caught:
        read(project, text)
    assert reason in str(caught.value)
    assert "data.jsonl" in str(caught.value)


def test_a_file_that_is_not_there(project: Path) -> None:
    """Said with its path."""
    with pytest.raises(SettingsError, match=r"nowhere\.jsonl: cannot be read"):
        list(read_examples(Path("nowhere.jsonl")))
