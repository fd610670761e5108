"""Programs in one server share nothing: not DSPy's settings, not the globals of modules, not a broken import."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import t0dspy
from support.served import ProgramServer, Served, answer, failure
from support.stack import wait_until

PROGRAM = """
import os
import dspy
import common

class Retriever:
    def __call__(self, query, k=None, **kwargs):
        return [dspy.Example(long_text="passage of NAME")]

common.owner.append("NAME")
dspy.configure(adapter=dspy.ADAPTER(), rm=Retriever(), lm=dspy.LM("openai/NAME", api_key="none"), extra="NAME")

class Program(dspy.Module):
    def __init__(self):
        super().__init__()
        self.ask = dspy.Predict("question -> answer")

    def forward(self, question: str):
        if question == "exit":
            os._exit(4)
        settings = dspy.settings
        found = {
            "adapter": type(settings.adapter).__name__,
            "lm": settings.lm.model,
            "extra": settings.extra,
            "passage": settings.rm(question)[0].long_text,
            "owners": common.owner,
        }
        return dspy.Prediction(found=found)

program = Program()
"""


def seen_by(name: str, adapter: str) -> dict[str, Any]:
    """What a program sees of its process if it is alone in it."""
    own = {"adapter": adapter, "lm": f"openai/{name}", "extra": name, "passage": f"passage of {name}", "owners": [name]}
    return {"found": own}


@pytest.fixture
def server(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProgramServer]:
    """A server with two programs that configure DSPy for themselves, and one that cannot be imported any more."""
    monkeypatch.syspath_prepend(str(project))
    (project / "common.py").write_text("owner = []\n")
    for name, adapter in (("first", "ChatAdapter"), ("second", "JSONAdapter"), ("third", "ChatAdapter")):
        (project / f"{name}.py").write_text(PROGRAM.replace("NAME", name).replace("ADAPTER", adapter))
        monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.delitem(sys.modules, "common", raising=False)
        t0dspy.export(f"{name}:program", "configs", name=name, model="openai::m", verify=False)
    (project / "third.py").write_text("import os\nos._exit(3)\n")
    with ProgramServer(
        Served(project, None), "--workers=4", gateway_url="http://127.0.0.1:1", PYTHONPATH="."
    ) as running:
        yield running


def test_programs_do_not_see_each_other(server: ProgramServer) -> None:
    """Each program runs with what it configured; one that ends its process at import or in a run ends no other."""
    status = server.get("/ready").json()
    assert status["workers"] == 2
    assert status["programs"]["third/v1"]["cannot_run"] == "its worker ended while it loaded the program (exit code 3)."
    for _ in range(2):
        assert answer(server.run("first/v1", arguments={"question": "q"})) == seen_by("first", "ChatAdapter")
        assert answer(server.run("second/v1", arguments={"question": "q"})) == seen_by("second", "JSONAdapter")
    assert failure(server.run("first/v1", arguments={"question": "exit"}))[1] == "worker_died"
    wait_until(lambda: server.get("/ready").json()["workers"] == 2, 30, server.said)
    assert answer(server.run("first/v1", arguments={"question": "q"})) == seen_by("first", "ChatAdapter")
    assert answer(server.run("second/v1", arguments={"question": "q"})) == seen_by("second", "JSONAdapter")
    assert [line["program"] for line in server.events("worker died") if line["how"] == "exit code 4"] == ["first"]


def process_status(pid: int) -> list[str]:
    """The state of a process and the id of its parent; an ended process that nobody waits for is a zombie, too."""
    path = Path(f"/proc/{pid}/stat")
    return path.read_text().rpartition(")")[2].split() if path.exists() else ["Z", "0"]


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forks only on Linux")
def test_a_killed_template_is_replaced(server: ProgramServer) -> None:
    """Its workers end with it, and new ones of a new template take over."""
    before = [line["worker"] for line in server.events("worker ready")]
    (template,) = {int(process_status(pid)[1]) for pid in before}
    assert template != server.process.pid
    os.kill(template, signal.SIGKILL)
    wait_until(lambda: len(server.events("worker ready")) >= 4, 60, server.said)
    assert [pid for pid in before if process_status(pid)[0] != "Z"] == []
    assert answer(server.run("first/v1", arguments={"question": "q"})) == seen_by("first", "ChatAdapter")
