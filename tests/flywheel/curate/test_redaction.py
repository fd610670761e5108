"""Redaction reaches every text, and a redaction that fails stops everything."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from support.curation import QUIET, example
from t0dspy.errors import ProgramError, SettingsError
from t0dspy.flywheel.curate.curate import Schemas, curate
from t0dspy.flywheel.example import PulledExample

# Redaction.
SECRET = "sk-123"


def _full() -> PulledExample:
    stage = replace(example({"deep": [SECRET]}), predictor="a", comments=(SECRET,))
    return example({"deep": [SECRET, 1]}, {"x": SECRET}, comments=[f"why {SECRET}"], stages=(stage,))


def test_redaction_reaches_every_text() -> None:
    """Inputs, outputs, comments and stages, however deep; numbers stay."""
    curated = curate([_full()], QUIET, redact=lambda one: one.replace(SECRET, "[key]"))
    assert SECRET not in curated.kept[0].to_line()
    assert curated.kept[0].inputs == {"question": {"deep": ["[key]", 1]}}
    assert curated.changed == {"redacted": 1}
    assert curate([example("q")], QUIET, redact=str).changed == {}


def test_redaction_comes_before_the_contract() -> None:
    """A label that redaction spoils is dropped, not kept as it was."""
    schemas = Schemas({}, {"properties": {"answer": {"enum": ["alice"]}}})
    assert curate([example("q", "alice")], QUIET, schemas=schemas, redact=lambda one: "x").kept == []


@pytest.fixture
def privacy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "def good(text): return 'x'\ndef bad(text): raise ValueError(text)\ndef none(text): pass\nnumber = 1\n"
    (tmp_path / "some_privacy.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "some_privacy", raising=False)


@pytest.mark.usefixtures("privacy")
@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("bad", SettingsError, "raised ValueError"),
        ("none", SettingsError, "returned NoneType"),
        ("number", SettingsError, "is a int"),
        ("missing", ProgramError, "missing"),
    ],
)
def test_a_redaction_that_fails_stops_everything(name: str, error: type[Exception], says: str) -> None:
    """Nothing goes on without it, and the error holds none of the text."""
    with pytest.raises(error, match=says) as caught:
        curate([_full()], replace(QUIET, redact=f"some_privacy:{name}"))
    assert SECRET not in str(caught.value)


@pytest.mark.usefixtures("privacy")
def test_redaction_by_name() -> None:
    """The settings name the function."""
    assert curate([example("q")], replace(QUIET, redact="some_privacy:good")).kept[0].inputs == {"question": "x"}
