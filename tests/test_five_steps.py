"""README's five steps, done as they stand by somebody with a program and a saved state."""

import json
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.served import asked, chat
from support.stack import COMMAND, bare_environment
from t0dspy.testing import RecordedRequest, ScriptedUpstream

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
STEPS = README.partition("## Your own program in five steps")[2].partition("\n## ")[0]
PROGRAM = """
import dspy


class Support(dspy.Module):
    def __init__(self):
        super().__init__()
        self.classify = dspy.Predict("question -> topic")
        self.reply = dspy.ChainOfThought("question, topic -> answer")

    def forward(self, question: str):
        topic = self.classify(question=question).topic
        return dspy.Prediction(answer=self.reply(question=question, topic=topic).answer)


program = Support()
"""


def blocks(language: str) -> list[str]:
    """The fenced blocks of the five steps."""
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```$", STEPS, re.DOTALL | re.MULTILINE)
    return [re.sub(r"^ {3}", "", block, flags=re.MULTILINE).strip() for block in found]


def model(request: RecordedRequest) -> str:
    """Answers both predictors; shows whether the optimized instructions arrived."""
    fields, system = asked(request), str(request.body["messages"][0]["content"])
    if "topic" not in fields:
        return chat(topic="orders")
    return chat(reasoning="r", answer=f"{'kindly' if 'OPTIMIZED' in system else 'plainly'}, about {fields['topic']}")


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """A project with a program and what an optimizer found."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app/program.py").write_text(PROGRAM)
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'stranger'\nversion = '1'\n")
    optimize = (
        "from app.program import program\n"
        "one = program.reply.predict\n"
        "one.signature = one.signature.with_instructions('OPTIMIZED: be kind.')\n"
        "program.save('optimized.json')\n"
    )
    subprocess.run([sys.executable, "-c", optimize], cwd=tmp_path, check=True, env=bare_environment())
    return tmp_path


def test_from_a_saved_state_to_a_served_function(stranger: Path) -> None:
    """init, settings, export, up, run: nothing else, and what was optimized is what answers."""
    init, export, up, run = [shlex.split(one) for one in blocks("sh")]
    [settings] = blocks("toml")
    mine = (stranger / "app/program.py").read_bytes(), (stranger / "pyproject.toml").read_bytes()

    _do(init, stranger)
    assert ((stranger / "app/program.py").read_bytes(), (stranger / "pyproject.toml").read_bytes()) == mine
    text = (stranger / "t0dspy.toml").read_text()
    (stranger / "t0dspy.toml").write_text(text.partition("[programs.")[0] + settings + "\n")
    with ScriptedUpstream(model) as upstream:
        _point_at(stranger / "configs/tensorzero.toml", upstream.url)
        said = _do(export, stranger)
        assert "prompts     equal" in said
        ports = ["--gateway-port=0", "--clickhouse-port=0", "--programs-port=0"]
        with subprocess.Popen(
            [COMMAND, *up[1:], *ports],
            cwd=stranger,
            env={**bare_environment(), "OPENAI_API_KEY": "none"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as stack:
            try:
                answer = _called(run, stranger, stack)
            finally:
                stack.send_signal(signal.SIGTERM)
        assert stack.returncode == 0
    assert answer["output"] == {"answer": "kindly, about orders"}
    assert answer["variant"] == "v1"


def _called(run: list[str], place: Path, stack: "subprocess.Popen[str]") -> dict[str, Any]:
    assert stack.stdout is not None
    assert stack.stdout.readline() == "ready\n"
    urls = dict(stack.stdout.readline().split() for _ in range(3))
    assert httpx.get(urls["gateway"] + "/health", trust_env=False).status_code == 200
    answer: dict[str, Any] = json.loads(_do(run, place, TENSORZERO_GATEWAY_URL=urls["gateway"]))
    return answer


def _do(command: list[str], place: Path, **env: str) -> str:
    assert command[0] == "t0dspy"
    known = {**bare_environment(), **env}
    done = subprocess.run([COMMAND, *command[1:]], cwd=place, env=known, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _point_at(config: Path, url: str) -> None:
    """A model that needs no account, as the comment in the config says."""
    text = config.read_text()
    assert "# api_base = " in text
    config.write_text(re.sub(r'# api_base = "[^"]*"', f'api_base = "{url}/"', text))
