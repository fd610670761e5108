"""`t0dspy verify` with another DSPy than the one that exported the program."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from support.stack import COMMAND, bare_environment

OTHER = "3.3.1"
APP = """
import dspy

class Sort(dspy.Signature):
    \"\"\"Sort the tickets.\"\"\"

    ticket: str = dspy.InputField(desc="what the user wrote")
    tags: list[str] = dspy.OutputField()
    urgent: bool = dspy.OutputField()

program = dspy.ChainOfThought(Sort)
program.predict.demos = [dspy.Example(ticket="help", reasoning="short", tags=["a"], urgent=True)]
"""
CONFIG = """
[models.main]
routing = ["p"]

[models.main.providers.p]
type = "openai"
model_name = "m"
"""


@pytest.fixture(scope="module")
def other_dspy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an older DSPy, which is found before the installed one."""
    target = tmp_path_factory.mktemp("dspy")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([*command, f"--target={target}", f"dspy=={OTHER}"], check=True, capture_output=True)
    return target


def run(directory: Path, *words: str, path: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**bare_environment(), "PYTHONPATH": path} if path else bare_environment()
    return subprocess.run([COMMAND, *words], cwd=directory, env=environment, capture_output=True, text=True)


def test_verify_after_a_change_of_dspy(tmp_path: Path, other_dspy: Path) -> None:
    """The command says which messages the installed DSPy writes differently, and compares no requests with it."""
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "tensorzero.toml").write_text(CONFIG)
    done = run(tmp_path, "export", "app:program", "--model=main")
    assert done.returncode == 0, done.stderr
    search = f"{other_dspy}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    same = run(tmp_path, "verify", "program", path=search)
    assert (same.returncode, same.stdout) == (
        0,
        f"program v1: DSPy {OTHER} writes the same messages as DSPy {version('dspy')}, which exported it\n",
    ), same.stderr
    adapter = other_dspy / "dspy" / "adapters" / "chat_adapter.py"
    text = adapter.read_text()
    adapter.write_text(text.replace("In adhering to this structure", "By this structure"))
    try:
        other = run(tmp_path, "verify", "program", path=search)
    finally:
        adapter.write_text(text)
    assert other.returncode == 4
    assert f"DSPy {OTHER} is installed, which writes 2 of its messages differently" in other.stderr
    assert "predict, chat text, message 'system':" in other.stderr
    assert "-In adhering to this structure, your objective is: " in other.stderr
    assert "+By this structure, your objective is: " in other.stderr
