"""An exported program is read the same way for every command, and a damaged one is an error that names the file."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dspy
import pytest

import t0dspy
from support.tool import Ran
from t0dspy.artifact.exported import ExportedProgram, program_directories
from t0dspy.errors import BundleError, HandEditedError, SettingsError

CONFIGS = Path("configs")
INPUTS = Path("configs/programs/ask/schemas/ask.input.json")


def export(instructions: str, traffic: float | None = None) -> None:
    """Export one predictor as the next version of `ask`."""
    program = dspy.Predict(dspy.Signature("question -> answer", instructions))
    t0dspy.export(program, CONFIGS, name="ask", model="openai::m", verify=False, traffic=traffic)


@pytest.fixture
def ask(project: Path) -> Path:
    """The directory of a program with two versions, the second of which has a tenth of the traffic."""
    export("Answer.")
    export("Answer well.", 0.1)
    return Path("configs/programs/ask")


def test_a_program_is_read_whole(ask: Path) -> None:
    """Manifest, files, shares, incumbent, schemas and states come from one reading of the directory."""
    program = ExportedProgram.read(CONFIGS, "ask")
    assert (program.name, program.directory, list(program.manifest.versions)) == ("ask", ask, ["v1", "v2"])
    assert (program.shares, program.incumbent) == ({"v1": 0.9, "v2": 0.1}, "v1")
    assert program.version("v2").parent == "v1"
    inputs, outputs = program.schemas("ask")
    assert (list(inputs["properties"]), list(outputs["properties"])) == (["question"], ["answer"])
    assert program.state("v2")["self" if "self" in program.state("v2") else "signature"]
    assert program.file("rollout.toml") == (ask / "rollout.toml").read_text()
    assert [each.directory for each in ExportedProgram.read_all(CONFIGS)] == program_directories(CONFIGS) == [ask]


def test_a_reading_does_not_change(ask: Path) -> None:
    """What is written later shows only in a new reading."""
    program = ExportedProgram.from_directory(ask)
    export("Answer very well.", 0.5)
    assert program.shares == {"v1": 0.9, "v2": 0.1}
    assert ExportedProgram.from_directory(program.directory).shares == {"v1": 0.45, "v2": 0.05, "v3": 0.5}


def test_what_is_not_there_is_named(ask: Path) -> None:
    """A program, a version or a file that does not exist is an error that lists what exists."""
    with pytest.raises(BundleError, match="no exported program 'other' in configs/programs: there are ask"):
        ExportedProgram.read(CONFIGS, "other")
    with pytest.raises(BundleError, match="ask has no version 'v9'; there are v1, v2"):
        ExportedProgram.read(CONFIGS, "ask").version("v9")
    (ask / "rollout.toml").unlink()
    with pytest.raises(HandEditedError, match=r"configs/programs/ask/rollout\.toml is gone"):
        _ = ExportedProgram.read(CONFIGS, "ask").shares
    (ask / "manifest.json").unlink()
    with pytest.raises(BundleError, match="nothing is exported yet"):
        ExportedProgram.read(CONFIGS, "ask")


def test_a_program_without_traffic_has_no_incumbent(ask: Path) -> None:
    """The error names the file that a person corrects."""
    (ask / "rollout.toml").write_text('[functions.ask.experimentation]\ntype = "static"\ncandidate_variants = {}\n')
    with pytest.raises(BundleError, match=r"rollout\.toml: gives no version of ask any traffic"):
        _ = ExportedProgram.read(CONFIGS, "ask").incumbent


def test_damaged_shares_are_an_error_of_their_own(ask: Path) -> None:
    """The program can be read without them: `verify` and `run` need no shares."""
    (ask / "rollout.toml").write_text("[functions")
    program = ExportedProgram.read(CONFIGS, "ask")
    with pytest.raises(SettingsError, match=r"rollout\.toml: not valid TOML"):
        _ = program.shares


DAMAGES = {
    "gone": (None, "is gone"),
    "not JSON": ("{", "is not JSON"),
    "not an object": ("[]", "is not a JSON object"),
    "no fields": ('{"type": "object"}', "it has no `properties`"),
    "fields of a wrong kind": ('{"type": "object", "properties": {"question": 5}}', "5 is not of type"),
    "an unknown type": ('{"type": "object", "properties": {"question": {"type": "strin"}}}', "'strin' is not valid"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_run_with_a_damaged_schema_is_no_bug(ask: Path, run: Callable[..., Ran], damage: str) -> None:
    """`t0dspy run` ends with 1 and names the file, before anything is sent."""
    text, reason = DAMAGES[damage]
    INPUTS.unlink() if text is None else INPUTS.write_text(text)
    ran = run("run", "ask", "--input", json.dumps({"question": "why?"}))
    assert (ran.code, ran.out) == (1, "")
    assert str(INPUTS) in ran.err
    assert reason in ran.err


def test_a_schema_with_other_line_endings_is_read(ask: Path) -> None:
    """Git may write CRLF; the schema is the same."""
    before = ExportedProgram.read(CONFIGS, "ask").schemas("ask")
    INPUTS.write_bytes(INPUTS.read_bytes().replace(b"\n", b"\r\n"))
    assert ExportedProgram.read(CONFIGS, "ask").schemas("ask") == before


@pytest.mark.parametrize(
    "module",
    ["t0dspy.artifact.hand_edits", "t0dspy.runtime.functions", "t0dspy.rollout.rollout", "t0dspy.rollout.status"],
)
def test_reading_programs_needs_no_dspy(module: str) -> None:
    """`run`, `traffic`, `apply` and `rollback` start without DSPy, which takes a second to load."""
    code = f"import sys, {module}; sys.exit('dspy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
