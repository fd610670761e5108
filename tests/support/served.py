"""A gateway with exported programs, as users run it: `t0dspy up` in a process of its own, models scripted."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dspy
import httpx

import t0dspy
from support.stack import BASE, COMMAND, Stack, bare_environment, wait_until
from t0dspy.testing import RecordedRequest, Reply, ScriptedUpstream

APPS = Path(__file__).parent / "apps"
ECHO = """
import dspy

class Echo(dspy.Module):
    def __init__(self):
        super().__init__()
        self.ask = dspy.Predict("question -> answer")

    def forward(self, question: str) -> dspy.Prediction:
        return dspy.Prediction(answer="MARK")

program = Echo()
"""
"""A program that needs Python around its predictor; replace MARK to change its code."""


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


def delayed(seconds: float) -> Callable[[RecordedRequest], Reply]:
    """A storyteller that takes its time."""

    def script(request: RecordedRequest) -> Reply:
        said = storyteller(request)
        return Reply(said if isinstance(said, str) else said.text, delay=seconds)

    return script


def booking_agent(request: RecordedRequest) -> str:
    """Books room 7, then says so."""
    text = str(request.body["messages"])
    if "next_tool_name" not in text:
        return chat(reasoning="r", result="done")
    if "observation_0" in text:
        return chat(next_thought="t", next_tool_name="finish", next_tool_args="{}")
    return chat(next_thought="t", next_tool_name="book", next_tool_args='{"room": "7"}')


def export(configs: Path, reference: str, *, instructions: str = "", **options: Any) -> str:
    """Export the program at `reference`, its first predictor's instructions changed; returns the version."""
    if str(APPS) not in sys.path:
        sys.path.insert(0, str(APPS))
    if instructions:
        options["state"] = _state(configs, reference, instructions)
    options = {"model": "m", "verify": False, "adapter": "chat", **options}
    return t0dspy.export(reference, configs, **options).version


def _state(configs: Path, reference: str, instructions: str) -> Path:
    from t0dspy.program.load import load_program

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
        (self.configs / "tensorzero.toml").write_text(BASE.format(async_writes="false"), encoding="utf-8")
        configure(self.configs)

    def call(self, function: str, fields: dict[str, Any], **options: Any) -> httpx.Response:
        """One inference, as any client makes it."""
        block = {"type": "template", "name": "user", "arguments": fields}
        body = {"function_name": function, "input": {"messages": [{"role": "user", "content": [block]}]}, **options}
        return httpx.post(f"{self.url}/inference", json=body, timeout=240, trust_env=False)

    def stages(self, episode: str) -> list[list[str]]:
        """What an episode logged: function, variant, and whether the caller named it."""
        pin = "if(tags['tensorzero::variant_pinned'] = variant_name, 'pinned', '')"
        return sorted(
            self.rows(f"SELECT function_name, variant_name, {pin} FROM ChatInference WHERE episode_id = '{episode}'")
        )

    def deploy(self, program: dspy.Module, name: str, **options: Any) -> Any:
        """The program, deployed at this gateway."""
        return t0dspy.deploy(program, name, configs=self.configs, gateway_url=self.url, **options)


class LyingFront(ScriptedUpstream):
    """In front of the real gateway; says that v2 answered."""

    def __init__(self, gateway: str) -> None:
        super().__init__(self.relay)
        self.gateway = gateway

    @property
    def url(self) -> str:
        return super().url.removesuffix("/v1")

    def relay(self, request: RecordedRequest) -> Reply:
        answered = httpx.post(self.gateway + request.path, json=request.body, timeout=30, trust_env=False).json()
        if "model" in answered:
            answered["model"] = answered["model"].replace("::v1", "::v2")
        return Reply(raw=json.dumps({**answered, "variant_name": "v2"}).encode())


KEY = "a key for tests"


class ProgramServer:
    """`t0dspy serve` in a process of its own, called as the gateway calls it."""

    def __init__(self, served: Served, *flags: str, gateway_url: str = "", **env: str) -> None:
        self.port = free_port()
        self.log = served.directory / f"serve-{self.port}.log"
        command = [COMMAND, "serve", f"--configs={served.configs}", f"--port={self.port}", *flags]
        command += [f"--gateway-url={gateway_url or served.url}"]
        env = {**bare_environment(), "PYTHONPATH": str(APPS), "T0DSPY_PROGRAMS_KEY": KEY, **env}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log, env=env)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "ProgramServer":
        wait_until(lambda: self.get("/ready").status_code == 200, 60, self.said)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def get(self, path: str) -> httpx.Response:
        try:
            return httpx.get(self.url + path, timeout=30, trust_env=False)
        except httpx.ConnectError:
            assert self.process.poll() is None, self.said()
            return httpx.Response(599)

    def run(self, model: str, key: str = KEY, timeout: float = 60, **body: Any) -> httpx.Response:
        """Ask for a run; `arguments` become the user message."""
        if "arguments" in body:
            body["messages"] = [{"role": "user", "content": json.dumps(body.pop("arguments"))}]
        headers = {"Authorization": f"Bearer {key}"}
        body = {"model": model, **body}
        return httpx.post(
            self.url + "/v1/chat/completions", json=body, headers=headers, timeout=timeout, trust_env=False
        )

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def events(self, event: str) -> list[dict[str, Any]]:
        """The log's lines about an event; every line must be JSON."""
        return [one for one in map(json.loads, self.said().splitlines()) if one["event"] == event]


def answer(response: httpx.Response) -> Any:
    """The outputs of a completed run."""
    assert response.status_code == 200, response.text
    return json.loads(response.json()["choices"][0]["message"]["content"])


def failure(response: httpx.Response) -> tuple[int, str, str]:
    """Status, kind and message of a failed run."""
    error = response.json()["error"]
    return response.status_code, error["type"], error["message"]


def at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    """The results of all calls, made at the same time."""
    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(lambda call: call(), calls))


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
