"""`t0dspy.export` and the tree: nothing half done, nothing lost, nothing touched without need."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import dspy
import pytest

import t0dspy
from t0dspy import parity
from t0dspy.errors import BundleError, CompileError, HandEditedError, WireInequalityError

OPTIONS: dict[str, Any] = {"name": "shop", "model": "openai::gpt-4o-mini"}
TREE = Path("configs/programs/shop")


def _program(instructions: str = "Answer.") -> dspy.Module:
    return dspy.Predict(dspy.Signature("question -> answer", instructions))


def _export(instructions: str = "Answer.", **options: Any) -> Any:
    return t0dspy.export(_program(instructions), **{**OPTIONS, "verify": False, **options})


def _everything(directory: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in (directory, *directory.rglob("*"))}


@pytest.mark.usefixtures("project")
def test_a_failed_proof_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither on the first export nor on a later one."""
    real = parity.compare

    def spoiled(program: Any, exported: Any, version: str, **more: Any) -> Any:
        files = {
            path: text.replace("Answer", "Guess") if "system" in path else text for path, text in exported.files.items()
        }
        return real(program, replace(exported, files=files), version, inputs=1)

    monkeypatch.setattr(parity, "compare", spoiled)
    with pytest.raises(WireInequalityError, match="Guess"):
        _export(verify=True)
    assert list(Path().iterdir()) == []
    _export(verify=False)
    before = _everything(TREE)
    with pytest.raises(WireInequalityError, match="Guess"):
        _export("Answer briefly.", verify=True)
    assert _everything(TREE) == before


@pytest.mark.usefixtures("project")
def test_old_versions_are_never_touched() -> None:
    """The files of a version keep their inode and time through later exports."""
    _export()
    v1 = {path: stat for path, stat in _everything(TREE / "v1").items() if path != str(TREE / "v1")}
    _export("Answer briefly.")
    _export("Answer at length.")
    after = _everything(TREE / "v1")
    assert {path: after[path] for path in v1} == v1


@pytest.mark.usefixtures("project")
def test_an_edit_during_an_export_is_not_lost() -> None:
    """Somebody who edits the shares while prompts are compared finds the edit, and the export says so."""
    _export()

    def edit(path: str, count: int) -> None:
        (TREE / "rollout.toml").write_text((TREE / "rollout.toml").read_text() + "# mine\n")

    with pytest.raises(BundleError, match="was changed during this export"):
        t0dspy.export(_program("Answer briefly."), parity_progress=edit, **OPTIONS)
    assert (TREE / "rollout.toml").read_text().endswith("# mine\n")
    assert not (TREE / "v2").exists()


@pytest.mark.usefixtures("project")
def test_a_version_folder_of_somebody_elses() -> None:
    """A file that t0dspy did not write, where the next version's would be, is named and kept."""
    _export()
    (TREE / "v2").mkdir()
    (TREE / "v2/system.minijinja").write_text("mine")
    with pytest.raises(HandEditedError, match=r"v2/system.minijinja exists, but t0dspy did not write it"):
        _export("Answer briefly.")
    assert (TREE / "v2/system.minijinja").read_text() == "mine"


@pytest.mark.usefixtures("project")
def test_config_without_a_manifest() -> None:
    """A directory of somebody else's config is not written to."""
    TREE.mkdir(parents=True)
    (TREE / "mine.toml").write_text("")
    with pytest.raises(BundleError, match=r"has config files but no manifest\.json"):
        _export()
    assert [path.name for path in TREE.rglob("*")] == ["mine.toml"]


@pytest.mark.usefixtures("project")
def test_a_users_own_files_survive() -> None:
    """Also those that are no text."""
    _export()
    (TREE / "notes.bin").write_bytes(b"\xff\x00")
    _export("Answer briefly.", verify=True)
    assert (TREE / "notes.bin").read_bytes() == b"\xff\x00"


@pytest.mark.usefixtures("project")
def test_a_damaged_schema_is_named() -> None:
    """A schema that is gone or no JSON any more is an error that says so."""
    _export()
    schema = TREE / "schemas/shop.input.json"
    schema.write_text("{")
    with pytest.raises(HandEditedError, match=r"schemas/shop\.input\.json was changed by hand"):
        _export("Answer briefly.")
    schema.unlink()
    with pytest.raises(HandEditedError, match=r"schemas/shop\.input\.json is gone"):
        _export("Answer briefly.")


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("name", ["state.json", "system.minijinja"])
def test_verify_names_a_file_that_is_gone(name: str) -> None:
    """A version that lost a file cannot be verified, and the message has the file's name."""
    _export()
    (TREE / "v1" / name).unlink()
    with pytest.raises(t0dspy.T0dspyError, match=name):
        t0dspy.verify("shop", program=_program())


@pytest.mark.usefixtures("project")
def test_two_exports_at_once() -> None:
    """Both results are there, one after the other, whichever came first."""
    code = (
        "import dspy, sys, t0dspy\n"
        "program = dspy.Predict(dspy.Signature('question -> answer', sys.argv[1]))\n"
        "t0dspy.export(program, name='shop', model='openai::gpt-4o-mini')\n"
    )
    words = ["Answer.", "Answer briefly.", "Answer at length."]
    running = [subprocess.Popen([sys.executable, "-c", code, word]) for word in words]
    assert [process.wait() for process in running] == [0, 0, 0]
    prompts = [(TREE / version / "system.minijinja").read_text() for version in ("v1", "v2", "v3")]
    assert all(any(word in prompt for prompt in prompts) for word in words)
    assert t0dspy.verify("shop", "v3", program=_same_as(prompts[2], words), inputs=3).equal
    assert os.listdir("configs/programs") == ["shop"]


def _same_as(prompt: str, words: list[str]) -> dspy.Module:
    return _program(next(word for word in words if word in prompt))


@pytest.mark.usefixtures("project")
def test_a_prompt_that_is_no_unicode() -> None:
    """Half a surrogate pair in a demo is refused with the predictor's name, before anything is compared."""
    program = _program()
    program.demos = [dspy.Example(question="\ud800", answer="x")]
    with pytest.raises(CompileError, match=r"the predictor: holds '.ud800', which UTF-8 cannot encode"):
        t0dspy.export(program, demos="system", **OPTIONS)
    assert list(Path().iterdir()) == []
