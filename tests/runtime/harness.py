"""A gateway with exported programs, as users run it: `t0dspy up` in a process of its own, models scripted."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
from stack.harness import Stack

import t0dspy
from t0dspy.testing import RecordedRequest, Reply, ScriptedUpstream

APPS = Path(__file__).parent / "apps"

CONFIG = """
[gateway.observability]
enabled = true
async_writes = false

[models.m]
routing = ["p"]

[models.m.providers.p]
type = "openai"
model_name = "scripted"
api_base = "http://upstream:1234/v1"
api_key_location = "none"

[metrics.good]
type = "boolean"
level = "inference"
optimize = "max"

[metrics.score]
type = "float"
level = "episode"
optimize = "max"
"""


def chat(**fields: Any) -> str:
    """An answer in ChatAdapter text."""
    return "".join(f"[[ ## {name} ## ]]\n{value}\n\n" for name, value in fields.items()) + "[[ ## completed ## ]]"


def asked(request: RecordedRequest) -> dict[str, str]:
    """The input fields of a request in ChatAdapter text."""
    text = request.body["messages"][-1]["content"]
    text = text.partition("\n\nRespond with the corresponding output fields")[0]
    parts = re.split(r"\[\[ ## (\w+) ## \]\]\n", text)
    return {name: value.strip() for name, value in zip(parts[1::2], parts[2::2], strict=True)}


def system(request: RecordedRequest) -> str:
    """The system message of a request."""
    return str(request.body["messages"][0]["content"])


def storyteller(request: RecordedRequest) -> str | Reply:
    """Answers that repeat what was asked, so that mixed up answers would show."""
    fields = asked(request)
    mark = "NEW " if "NEW" in system(request) else ""
    if "`outline` (str)" in system(request) and "topic" in fields:
        return chat(outline=f"{mark}outline of {fields['topic']}")
    if "outline" in fields:
        return chat(text=f"{mark}text of {fields['outline']}")
    if "`left` (str)" in system(request):
        return chat(left=f"left of {fields['topic']}")
    if "`right` (str)" in system(request):
        return chat(right=f"right of {fields['topic']}")
    return chat(answer=f"{mark}answer to {fields['question']}")


def export(configs: Path, reference: str, *, instructions: str = "", **options: Any) -> str:
    """Export the program at `reference`, its first predictor's instructions changed; returns the version."""
    if str(APPS) not in sys.path:
        sys.path.insert(0, str(APPS))
    if instructions:
        options["state"] = _state(configs, reference, instructions)
    options = {"model": "m", "verify": False, "adapter": "chat", **options}
    return t0dspy.export(reference, configs, **options).version


def _state(configs: Path, reference: str, instructions: str) -> Path:
    from t0dspy.program import load_program

    program: Any = load_program(reference).deepcopy()
    predict = program.predictors()[0]
    predict.signature = predict.signature.with_instructions(instructions)
    path = configs.parent / "state.json"
    program.save(str(path))
    return path


class Served(Stack):
    """A stack whose program server can import the tests' programs."""

    def __init__(self, directory: Path, upstream: ScriptedUpstream, *flags: str, **env: str) -> None:
        super().__init__(directory, upstream, *flags, PYTHONPATH=str(APPS), **env)

    def programs(self, configure: Callable[[Path], None]) -> None:
        """Write the config and export with `configure(configs)`."""
        self.configs.mkdir(parents=True, exist_ok=True)
        (self.configs / "tensorzero.toml").write_text(CONFIG, encoding="utf-8")
        configure(self.configs)

    def deploy(self, program: dspy.Module, name: str, **options: Any) -> Any:
        """The program, deployed at this gateway."""
        return t0dspy.deploy(program, name, configs=self.configs, gateway_url=self.url, **options)
