"""Code is not undone by a rollback, and every command that moves traffic says so."""

import subprocess
import sys
from pathlib import Path

import pytest

import t0dspy
from t0dspy.artifact.exported import ExportedProgram
from t0dspy.rollout.change import plan_rollback, plan_traffic
from t0dspy.rollout.served import Served
from t0dspy.rollout.status import program_status

PROGRAM = """
import dspy

class Echo(dspy.Module):
    def __init__(self):
        super().__init__()
        self.ask = dspy.Predict("question -> draft")
        self.tell = dspy.Predict("draft -> answer")

    def forward(self, question: str) -> dspy.Prediction:
        return self.tell(draft=self.ask(question=question).draft)

program = Echo()
"""
OPTIONS = {"name": "echo", "signature": "question -> answer", "verify": False, "traffic": 1.0}


def write(code: str) -> None:
    """Write the program's code, which the next import reads."""
    Path("echoing.py").write_text(code)
    sys.modules.pop("echoing", None)


@pytest.fixture
def echo(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """v1 with the first code, v2 with the second, which is the code that is there."""
    monkeypatch.syspath_prepend(str(project))
    write(PROGRAM)
    t0dspy.export("echoing:program", "configs", model="openai::a", **OPTIONS)
    write(PROGRAM.replace("return self", "question = question.strip()\n        return self"))
    t0dspy.export("echoing:program", "configs", model="openai::b", **OPTIONS)
    yield Path("configs")
    sys.modules.pop("echoing", None)


def test_a_rollback_says_that_it_undoes_no_code(echo: Path) -> None:
    """v1 would run the code of v2: the note names version and file, for rollback and traffic alike."""
    program = ExportedProgram.read(echo, "echo")
    for planned in (plan_rollback(program, None, "now"), plan_traffic(program, {"v1": 0.5, "v2": 0.5}, "now")):
        assert planned.change.after["v1"]
        (note,) = planned.notes
        assert note.startswith("echo v1 runs code that is not what it was exported with: echoing.py changed since.")
    assert plan_traffic(program, {"v2": 1.0}, "now").notes == []


def test_traffic_is_honest_about_the_fit(echo: Path) -> None:
    """ "fits" says that the code changed, and a version in traffic is warned of; comments are no change."""
    from datetime import UTC, datetime

    def looked() -> tuple[dict[str, object], tuple[str, ...]]:
        shown = program_status(ExportedProgram.read(echo, "echo"), Served(None), datetime.now(UTC))
        return {one["version"]: one["code_changed"] for one in shown.as_json()["versions"]}, tuple(shown.warnings)

    assert looked() == ({"v2": "", "v1": "echoing.py"}, ())
    write(Path("echoing.py").read_text() + "\n# a comment\n")
    assert looked() == ({"v2": "", "v1": "echoing.py"}, ())
    write(PROGRAM)
    changed, (warning,) = looked()
    assert changed == {"v2": "echoing.py", "v1": ""}
    assert warning.startswith("echo v2 runs code")


def test_a_look_at_traffic_imports_nothing_heavy(project: Path) -> None:
    """What the gateway answers alone has no code to compare, so DSPy is not imported; nor is the database."""
    import dspy

    t0dspy.export(dspy.Predict("question -> answer"), "configs", name="ask", model="openai::m", verify=False)
    command = ["t0dspy", "traffic", "ask", "--gateway-url", "http://127.0.0.1:9"]
    code = (
        f"import atexit, sys\nsys.argv = {command!r}\n"
        "atexit.register(lambda: sys.stderr.write(' '.join(sys.modules)))\nfrom t0dspy.cli import main\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "* v1" in " ".join(done.stdout.split())
    assert {"dspy", "chdb", "pyarrow", "tensorzero"} & set(done.stderr.split()) == set()
