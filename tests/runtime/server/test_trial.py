"""Changed code is imported by new workers, and code that does not hold replaces nothing."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import t0dspy
from support.served import ProgramServer, Served, answer, at_once
from support.stack import wait_until
from t0dspy.runtime.server.messages import Offer
from t0dspy.runtime.server.trial import find_loss

PROGRAM = """
import time
from pathlib import Path
import dspy

class Echo(dspy.Module):
    def __init__(self):
        super().__init__()
        self.ask = dspy.Predict("question -> answer")

    def forward(self, question: str) -> dspy.Prediction:
        Path(question + ".began").touch()
        while question.endswith("slow") and not Path(question + ".go").exists():
            time.sleep(0.01)
        return dspy.Prediction(answer="MARK")

program = Echo()
"""


class Reloading(ProgramServer):
    """A program server whose program is edited while it runs."""

    code: Path

    def reload(self) -> dict[str, Any]:
        """Ask for a reload, and return the status once it has ended."""
        before = self.get("/ready").json()["reloads"]
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.get("/ready").json()["reloads"] > before, 60, self.said)
        return dict(self.get("/ready").json())

    def asked(self, question: str) -> str:
        return str(answer(self.run("echo/v1", arguments={"question": question}))["answer"])


@pytest.fixture
def server(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reloading]:
    """A program that answers with a mark of its code, exported and served."""
    code = project / "echo.py"
    code.write_text(PROGRAM.replace("MARK", "first"))
    monkeypatch.syspath_prepend(str(project))
    monkeypatch.delitem(sys.modules, "echo", raising=False)
    options = {"name": "echo", "model": "openai::m", "signature": "question -> answer", "verify": False}
    t0dspy.export("echo:program", "configs", **options)
    with Reloading(Served(project, None), "--workers=1", gateway_url="http://127.0.0.1:1", PYTHONPATH=".") as running:
        running.code = code
        yield running


def test_new_code_answers_and_runs_finish_on_the_old(server: Reloading, tmp_path: Path) -> None:
    """A run that began before a reload ends with the code that it began with."""
    slow = str(tmp_path / "slow")

    def reload() -> str:
        wait_until(Path(slow + ".began").exists, 30, server.said)
        server.code.write_text(PROGRAM.replace("MARK", "the second"))
        status = server.reload()
        assert status["reload_refused"] == ""
        assert status["programs"]["echo/v1"] == {"cannot_run": "", "code_changed": "echo.py"}
        said = server.asked(str(tmp_path / "quick"))
        Path(slow + ".go").touch()
        return said

    assert at_once([lambda: server.asked(slow), reload]) == ["first", "the second"]


BROKEN = {
    "SyntaxError in echo.py line 2: ": "import dspy\nprogram = = dspy\n",
    "importing echo failed: ZeroDivisionError": "1 / 0\n",
    "the code no longer fits echo v1": PROGRAM.replace("question -> answer", "question -> other"),
    "the new workers of echo ended while they loaded it (exit code 3)": "import os\nos._exit(3)\n",
}


def test_code_that_does_not_hold_replaces_nothing(server: Reloading, tmp_path: Path) -> None:
    """The old workers go on answering, the reason is in the log and in /ready, and the next good code is taken."""
    for at, (reason, code) in enumerate(BROKEN.items()):
        server.code.write_text(code)
        status = server.reload()
        assert reason in status["reload_refused"]
        assert status["workers"] == 1
        assert server.asked(str(tmp_path / f"question {at}")) == "first"
    assert len(server.events("reload refused")) == len(BROKEN)
    server.code.write_text(PROGRAM.replace("MARK", "third time"))
    assert server.reload()["reload_refused"] == ""
    assert server.asked(str(tmp_path / "last")) == "third time"


def test_what_counts_as_a_loss() -> None:
    """A version with traffic that ran and would not. Versions without traffic, or that failed before, do not count."""
    present = {"a": Offer(1.0, {"v1": "", "v2": "", "v3": "broken"})}
    assert find_loss(present, {"a": Offer(1.0, {"v1": "", "v2": "", "v3": "broken"}, traffic=["v1", "v3"])}) == ""
    assert find_loss(present, {"a": Offer(1.0, {"v1": "why", "v2": ""}, traffic=["v2"])}) == ""
    assert find_loss(present, {"b": Offer(1.0, {"v1": "why"}, traffic=["v1"])}) == ""
    assert find_loss(present, {}) == ""
    assert find_loss(present, {"a": Offer(1.0, {"v1": "why", "v2": ""}, traffic=["v1"])}) == "a/v1: why"
    assert find_loss({}, {"a": Offer(1.0, {"v1": "why"}, traffic=["v1"])}) == ""
