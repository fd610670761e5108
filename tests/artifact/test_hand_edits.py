"""Generated files that somebody changed are noticed by whoever serves, exports or looks at traffic."""

import json
from datetime import UTC, datetime
from pathlib import Path

import dspy
import pytest

import t0dspy
from t0dspy.artifact.exported import ExportedProgram
from t0dspy.artifact.hand_edits import find_hand_edits, hand_edit_notes
from t0dspy.exporting.options import Export
from t0dspy.readiness.problems import ServerStatus, find_problems
from t0dspy.rollout.change import plan_traffic
from t0dspy.rollout.served import Served
from t0dspy.rollout.status import program_status


def export() -> Export:
    """Export one predictor as `ask`."""
    program = dspy.Predict("question -> answer")
    return t0dspy.export(program, "configs", name="ask", model="openai::m", verify=False)


@pytest.fixture
def ask(project: Path) -> Path:
    """The directory of an exported program."""
    export()
    return Path("configs/programs/ask")


def notes(directory: Path) -> list[str]:
    """The notes of all versions."""
    return hand_edit_notes(ExportedProgram.from_directory(directory))


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("v1/user.minijinja", "ask v1"),
        ("v1/variant.toml", "ask v1"),
        ("program.toml", "ask"),
        ("v1/state.json", "ask v1"),
    ],
)
def test_an_edit_is_named_everywhere(ask: Path, path: str, named: str) -> None:
    """`up`, `export`, `traffic NAME` and `traffic NAME v1=1` say which file, which version, and what to do."""
    (ask / path).write_text((ask / path).read_text() + "\n")
    expected = f"{named}: {ask / path} was changed by hand since the export"
    verify = "t0dspy verify ask --version v1" if path.startswith("v1") else "t0dspy verify ask`"
    program = ExportedProgram.read(Path("configs"), "ask")
    looked = program_status(program, Served(None), datetime.now(UTC))
    for (note,) in (
        find_problems(Path("configs"), {"OPENAI_API_KEY": "x"}, ServerStatus()).warnings,
        [note for note in export().notes if "by hand" in note],
        looked.warnings,
        plan_traffic(program, {"v1": 1.0}, "now").notes,
    ):
        assert note.startswith(expected)
        assert verify in note
        assert f"git checkout -- {ask / path}" in note
    assert export().hand_edited
    assert looked.as_json()["warnings"] == list(looked.warnings)


def test_a_missing_template_is_named(ask: Path) -> None:
    """It is not "changed", and there is nothing to verify."""
    (ask / "v1/user.minijinja").unlink()
    (note,) = notes(ask)
    assert note.startswith(f"ask v1: {ask}/v1/user.minijinja is missing since the export.")


def test_line_endings_of_git_are_called_that(ask: Path) -> None:
    """With core.autocrlf every generated file differs, and the user has edited none."""
    for path in ask.rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    shared, own = sorted(notes(ask))
    assert shared.startswith(f"ask v1: {ask}/v1/")
    for note in (shared, own):
        assert "CRLF line endings" in note
        assert f"`{ask}/** -text` to .gitattributes" in note
        assert "by hand" not in note


def test_what_is_the_users_is_no_edit(ask: Path) -> None:
    """rollout.toml and files of the user's own; and a manifest that records no hashes finds nothing."""
    (ask / "rollout.toml").write_text("# mine\n" + (ask / "rollout.toml").read_text())
    (ask / "v1/notes.md").write_text("mine")
    assert notes(ask) == []
    (ask / "v1/user.minijinja").write_text("edited")
    manifest = json.loads((ask / "manifest.json").read_text())
    manifest["files"] = {}
    (ask / "manifest.json").write_text(json.dumps(manifest))
    assert notes(ask) == []


def test_other_versions_are_left_out(ask: Path) -> None:
    """`up` warns of what it serves: an old version without traffic is of no interest."""
    program = dspy.Predict("question -> answer", temperature=0.5)
    t0dspy.export(program, "configs", name="ask", model="openai::m", verify=False)
    (ask / "v2/user.minijinja").write_text("edited")
    assert [edit.version for edit in find_hand_edits(ExportedProgram.from_directory(ask))] == ["v2"]
    assert find_problems(Path("configs"), {"OPENAI_API_KEY": "x"}, ServerStatus()).warnings == ()
    assert len(notes(ask)) == 1
