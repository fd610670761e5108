"""The state of a division: written whole, read as it was written, refused when it is damaged."""

import json
from pathlib import Path
from typing import Any

import pytest

from support.killing import kill_at_every_step
from support.split import example, various
from t0dspy.errors import SetStateError
from t0dspy.flywheel.split.split import SetState, split
from t0dspy.model import digest


def test_the_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Writing and reading changes nothing; equal states are equal bytes; no text of an example is in it."""
    path = tmp_path / "deep/sets.json"
    state = split([example("the secret of müller", "e1"), *various(20)], SetState()).state
    state.write(path)
    assert SetState.read(path) == state
    assert SetState.read(path).to_json() == path.read_text() == SetState(dict(reversed(state.sets.items()))).to_json()
    assert "secret" not in path.read_text()
    assert SetState.read(tmp_path / "none.json") == SetState()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda text: text[: len(text) // 2], "damaged"),
        (lambda text: "", "damaged"),
        (lambda text: "[]", "damaged"),
        (lambda text: "null", "damaged"),
        (lambda text: text.replace('"format": 1', '"format": 2'), "of format 2"),
        (lambda text: text.replace("input:", "inputs:"), "does not match its digest"),
        (lambda text: text.replace('"digest"', '"digst"'), "it lacks 'digest'"),
        (lambda text: text.replace('"holdout"', '"holdouts"'), "its sets are"),
        (lambda text: "[" * 100_000, "damaged"),
    ],
)
def test_a_damaged_state_is_refused(tmp_path: Path, spoil: Any, says: str) -> None:
    """A file that is not what was written is named, with the reason and what to do; never taken for an empty one."""
    path = tmp_path / "sets.json"
    state = split(various(5), SetState()).state
    state.write(path)
    path.write_text(spoil(path.read_text()))
    with pytest.raises(SetStateError, match=r"sets\.json") as caught:
        SetState.read(path)
    assert says in str(caught.value)


def test_a_handle_in_two_sets_is_refused(tmp_path: Path) -> None:
    """Even with a digest that fits."""
    sets: dict[str, list[str]] = {"train": ["input:" + "a" * 32], "validation": [], "holdout": ["input:" + "a" * 32]}
    path = tmp_path / "sets.json"
    path.write_text(json.dumps({"format": 1, "digest": digest(sets), "sets": sets}))
    with pytest.raises(SetStateError, match="is in train and holdout"):
        SetState.read(path)


def test_a_disk_that_refuses_leaves_the_old_state(tmp_path: Path) -> None:
    """A directory in the way, or bytes that are no text: one clear error."""
    with pytest.raises(SetStateError, match="cannot be written"):
        SetState().write(_file(tmp_path) / "sets.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe")
    with pytest.raises(SetStateError, match="cannot be read"):
        SetState.read(tmp_path / "binary.json")
    with pytest.raises(SetStateError, match="cannot be read"):
        SetState.read(tmp_path)


def _file(place: Path) -> Path:
    path = place / "a_file"
    path.write_text("")
    return path


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_kill_keeps_the_old_state_or_the_new(tmp_path: Path) -> None:
    """Killed before any step of writing, the file holds the old state or the new one."""
    path = tmp_path / "sets.json"
    old = split(various(5), SetState()).state
    new = split(various(5, 2), old).state
    seen = []
    old.write(path)
    for _ in kill_at_every_step(lambda: new.write(path)):
        seen.append(SetState.read(path) == new)
        assert seen[-1] or SetState.read(path) == old
        old.write(path)
        assert [one.name for one in tmp_path.iterdir()] == ["sets.json"]
    assert len(seen) >= 3
    assert not seen[0]
