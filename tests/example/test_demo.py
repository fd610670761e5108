"""`make demo`, in its short form, from the outside."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from examples.spec_to_review.demo import clients, steps
from examples.spec_to_review.demo.processes import DemoError
from examples.spec_to_review.demo.project import Project
from examples.spec_to_review.demo.show import Show
from support.example import rows
from support.stack import bare_environment, wait_until

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "examples.spec_to_review.demo", "--short"]


def processes(directory: Path) -> list[str]:
    """Command lines of processes that work in the demo's directory, or below."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if str(place.readlink()).startswith(str(directory)):
                found.append((place.parent / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")
def test_once_around_the_loop(tmp_path: Path) -> None:
    """It succeeds, its figures agree, and nothing stays behind."""
    directory = tmp_path / "demo"
    command = [*COMMAND, f"--directory={directory}", "--seed=test"]
    done = subprocess.run(command, cwd=ROOT, env=bare_environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads((directory / "report.json").read_text())
    figures = {one["what"]: one for one in report["figures"]}
    optimized = figures["optimized, in DSPy"]["score"]
    assert figures["served, TensorZero's client"]["score"] == figures["served, OpenAI's SDK"]["score"] == optimized
    assert figures["fresh, from seed test"]["specs"] == 4
    assert report["feedback"]["good"] == 16
    assert report["feedback"]["demonstration"] > 0
    for title in figures:
        assert title in done.stdout
    assert processes(directory) == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")
def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    """A demo over an earlier one's leftovers starts anew; interrupted, it takes its processes along."""
    directory = tmp_path / "demo"
    directory.mkdir()
    (directory / ".demo").write_text("")
    (directory / "old").write_text("of an earlier demo")
    command = [*COMMAND, f"--directory={directory}"]
    with subprocess.Popen(command, cwd=ROOT, env=bare_environment(), stderr=subprocess.PIPE, text=True) as demo:
        assert demo.stderr is not None
        wait_until(lambda: any("progress " in log.read_text() for log in directory.rglob("optimize.log")), 120)
        demo.send_signal(signal.SIGINT)
        said = demo.stderr.read()
    assert demo.returncode == 130
    assert said.endswith("Interrupted.\n")
    assert "Traceback" not in said
    assert not (directory / "old").exists()
    wait_until(lambda: processes(directory) == [])


def test_a_served_score_that_differs_fails_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One specification answered otherwise than in DSPy is enough; the answers are kept to look at."""
    outputs = {row["spec"]: _solved(row) for row in rows("validation")}
    monkeypatch.setattr(steps.Demo, "calls", lambda self: 0)
    monkeypatch.setattr(clients, "with_tensorzero", lambda url: lambda row: _answered(row, outputs[row["spec"]]))
    show = Show(Console(file=io.StringIO()))
    demo = steps.Demo(Project(tmp_path), steps.SHORT, "s", show, urls={"gateway": ""})
    demo.optimized = 0.65  # right code and plan, nothing parsed, no tests
    monkeypatch.setattr(clients, "with_openai", clients.with_tensorzero)
    steps.call_validation(demo)
    assert {one.score for one in demo.figures} == {0.65}
    outputs[rows("validation")[2]["spec"]]["code"] = ""
    with pytest.raises(DemoError, match="They must be equal"):
        steps.call_validation(demo)
    assert len(json.loads((tmp_path / "unequal.json").read_text())) == steps.SHORT.validation


def _solved(row: dict[str, Any]) -> dict[str, Any]:
    sections = [{"title": "", "functions": [one["function"]]} for one in row["dspy_hidden_tests"]]
    review = {"approved": True, "findings": []}
    return {"functions": [], "sections": sections, "code": row["dspy_solution"], "tests": "", "review": review}


def _answered(row: Any, output: dict[str, Any]) -> clients.Answered:
    return clients.Answered(row, "inference", "episode", "v1", output)


def test_a_directory_of_somebody_elses_is_left_alone(tmp_path: Path) -> None:
    """What the demo did not make it does not remove."""
    (tmp_path / "mine.txt").write_text("mine")
    command = [*COMMAND, f"--directory={tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, env=bare_environment(), capture_output=True, text=True)
    assert done.returncode == 1
    assert "holds something that is not the demo's" in done.stderr
    assert sorted(os.listdir(tmp_path)) == ["mine.txt"]
