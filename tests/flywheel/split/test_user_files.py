"""The user's own data files as examples of a set."""

import json
from pathlib import Path

import pytest

from support.split import example
from t0dspy.errors import SettingsError
from t0dspy.flywheel.split.user_files import read_user_examples


# The user's own files.
def test_own_files_are_labels_or_lines_of_pull(tmp_path: Path) -> None:
    """A flat object is a person's answer; a line of pull is what it says; inputs alone have no answer."""
    path = tmp_path / "holdout.jsonl"
    pulled = example("c", "e1")
    lines = [json.dumps({"text": "a", "answer": 1}), "", json.dumps({"text": "b\u2028"}), pulled.to_line()]
    path.write_text("\n".join(lines), encoding="utf-8")
    first, second, third = read_user_examples(path, ["text"])
    assert (first.inputs, first.outputs, first.demonstration) == ({"text": "a"}, {"answer": 1}, True)
    assert (second.outputs, second.demonstration) == (None, False)
    assert third.to_line() == pulled.to_line()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "not JSON"),
        ("[1]", "is list"),
        ('{"other": 1}', "none of the inputs text"),
        ('{"inputs": {}, "x": 1}', "x"),
        ('{"text": NaN}', "not JSON"),
        ('{"text": 1e999}', "not JSON"),
        ('{"text": ' + "[" * 700 + "]" * 700 + "}", "not JSON"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, says: str) -> None:
    """With its number and what is wrong."""
    path = tmp_path / "own.jsonl"
    path.write_text(f'{{"text": "a"}}\n{line}\n')
    with pytest.raises(SettingsError, match=r"own\.jsonl, line 2") as caught:
        list(read_user_examples(path, ["text"]))
    assert says in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """UserExamples files that are not there are an error, never an empty set."""
    with pytest.raises(SettingsError, match=r"none\.jsonl: cannot be read"):
        list(read_user_examples(tmp_path / "none.jsonl", ["text"]))
