"""A canary in every place that can hold a secret, and a look at everything that an export leaves or says."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

CANARY = "sk-canary-0123456789abcdef"

PROGRAM = f"""
    import dspy

    CANARY = "{CANARY}"

    class Two(dspy.Module):
        def __init__(self, **config):
            super().__init__()
            self.plan = dspy.Predict("question -> steps: list[str]", **config)
            self.write = dspy.ChainOfThought("question, steps: list[str] -> answer")

        def forward(self, question: str):
            return self.write(question=question, steps=self.plan(question=question).steps)

    def good():
        program = Two(api_key=CANARY, timeout=3)
        address = f"http://127.0.0.1:9/v1?key={{CANARY}}"
        program.set_lm(dspy.LM("openai/x", temperature=0.5, api_key=CANARY, api_base=address))
        program.plan.demos = [{{"question": "q", "steps": ["s"], "api_key": CANARY}}]
        return program

    def headers():
        program = Two()
        secrets = dict(api_key=CANARY, headers={{"a": CANARY}}, extra_headers={{"x": CANARY}}, api_version=CANARY)
        program.set_lm(dspy.LM("openai/x", **secrets))
        return program

    def address():
        program = Two(api_base=f"http://127.0.0.1:9/{{CANARY}}")
        program.set_lm(dspy.LM("openai/x"))
        return program

    def elsewhere():
        program = Two()
        program.set_lm(dspy.LM("openai/x", api_base=f"http://user:{{CANARY}}@host/v1", api_key=CANARY))
        return program

    def unknown_settings():
        return Two(aws_secret_access_key=CANARY, vertex_credentials={{"key": CANARY}}, temperature=[CANARY])
"""


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from t0dspy.cli import main; main()", "export", *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize(
    ("factory", "options", "code"),
    [
        ("good", ["--model", "openai::x"], 0),
        ("good", ["--model", "openai::x", "--json", "--adapter", "json"], 0),
        ("headers", ["--model", "openai::x"], 1),
        ("address", ["--model", "openai::x"], 1),
        ("elsewhere", [], 1),
        ("elsewhere", ["--model", "openai::x"], 0),
        ("unknown_settings", ["--model", "openai::x"], 4),  # DSPy sends nothing, so nothing can be compared
    ],
)
def test_no_secret_reaches_a_file_or_the_terminal(project: Path, factory: str, options: list[str], code: int) -> None:
    """Keys, addresses and headers of LMs and configs are nowhere in the tree, on stdout or on stderr."""
    (project / "app.py").write_text(textwrap.dedent(PROGRAM), encoding="utf-8")
    done = run(project, f"app:{factory}", "--name", "app", *options)
    assert done.returncode == code, done.stderr
    assert CANARY not in done.stdout + done.stderr
    written = [path for path in (project / "configs").rglob("*") if path.is_file()] if code == 0 else []
    assert bool(written) == (code == 0)
    assert [path for path in written if CANARY.encode() in path.read_bytes()] == []
