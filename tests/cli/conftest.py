"""The command line as a user meets it: a small project, and two ways to run the tool in it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.tool import Ran

REVIEW = '''
import dspy


class Review(dspy.Signature):
    """Judge a product review."""

    text: str = dspy.InputField()
    stars: int = dspy.OutputField(desc="1 to 5")


program = dspy.Predict(Review)
'''


@pytest.fixture
def shop(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one program, `review:program`."""
    (project / "review.py").write_text(REVIEW)
    known = set(sys.modules)
    monkeypatch.syspath_prepend(str(project))
    yield project
    for name in set(sys.modules) - known:
        if str(project) in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]


@pytest.fixture
def tool() -> Callable[..., Ran]:
    """Run the installed command in a process of its own."""

    def tool(*arguments: str, **environment: str) -> Ran:
        command = [str(Path(sys.executable).with_name("t0dspy")), *arguments]
        done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, check=False)
        return Ran(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))

    return tool
