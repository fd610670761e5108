"""`ready` says which programs cannot run; a reload takes the code that is there then."""

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import t0dspy
from support.served import ECHO, Served


@pytest.fixture
def stack(project: Path, migrated: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """`up --reload` of two programs: one with a syntax error since its export, one whose key is missing."""
    import dspy

    shutil.copytree(migrated, project / "data", symlinks=True)
    (project / "echoed.py").write_text(ECHO)
    monkeypatch.syspath_prepend(str(project))
    with Served(project, None, "--reload") as stack:
        stack.programs(
            lambda configs: t0dspy.export(
                "echoed:program", configs, name="support", model="m", signature="question -> answer", verify=False
            )
        )
        t0dspy.export(dspy.Predict("a -> b"), stack.configs, name="one", model="openai::m", verify=False)
        (project / "echoed.py").write_text(ECHO + "def broken(:\n")
        stack.env["PYTHONPATH"] = str(project)
        yield stack


def test_ready_names_what_cannot_run(stack: Served) -> None:
    """The stack stays up; `stack.json` has it too; a repaired file is loaded by itself, and SIGHUP looks again."""
    process = stack.launch()
    assert process.stdout is not None
    line = ECHO.count("\n") + 1
    assert process.stdout.readline() == "ready, except\n"
    assert process.stdout.readline() == "  one: OPENAI_API_KEY is not set, which openai::m needs\n"
    assert process.stdout.readline() == f"  support: SyntaxError in echoed.py line {line}: invalid syntax\n"
    for _ in range(3):
        part, url = process.stdout.readline().split()
        stack.urls[part] = url
    assert json.loads((stack.data_dir / "stack.json").read_text())["cannot_run"].keys() == {"one", "support"}

    (stack.directory / "echoed.py").write_text(ECHO.replace("MARK", "repaired"))
    stack.wait_said("reloaded (echoed.py), except one: OPENAI_API_KEY is not set", 60)
    assert stack.call("support", {"question": "why"}).json()["output"]["parsed"] == {"answer": "repaired"}
    assert "warning: support v1 runs code that is not what it was exported with: echoed.py changed" in stack.said()
    assert json.loads((stack.data_dir / "stack.json").read_text())["cannot_run"].keys() == {"one"}

    (stack.directory / "echoed.py").write_text("import (")
    stack.wait_said("The programs keep the old code (echoed.py): support/v1: SyntaxError in echoed.py", 60)
    assert stack.call("support", {"question": "why"}).status_code == 200
    said = len(stack.said())
    process.send_signal(signal.SIGHUP)
    stack.wait_said("The programs keep the old code: support/v1", 60)
    assert "Traceback" not in stack.said()[said:]
    assert stack.stop() == 0
