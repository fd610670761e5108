"""Programs to call, served with a database and without one."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

import t0dspy
from benchmarks.up import BASE, COMMAND, processor_seconds, up

KEY = "benchmark"
PLAIN = "plain"
"""A function without templates, which takes messages as stock DSPy sends them."""
_PLAIN = f"""
[functions.{PLAIN}]
type = "chat"
[functions.{PLAIN}.variants.v1]
type = "chat_completion"
model = "m"
"""
APP = """
import dspy

class Stories(dspy.Module):
    def __init__(self):
        super().__init__()
        self.plan = dspy.Predict("topic: str -> outline: str")
        self.write = dspy.Predict("outline: str -> text: str")

    def forward(self, topic: str):
        return self.write(outline=self.plan(topic=topic).outline)

stories = Stories()
question = dspy.Predict("question: str -> answer: str")
"""


@dataclass(frozen=True)
class Served:
    """A gateway and a program server."""

    gateway: str
    programs: str
    pids: Callable[[], Mapping[str, int]]
    """By part."""

    def run(self, http: httpx.Client) -> None:
        """One run of two stages, asked of the program server as the gateway asks it."""
        body = {"model": "stories/v1", "messages": [{"role": "user", "content": '{"topic": "cats"}'}]}
        headers = {"Authorization": f"Bearer {KEY}"}
        http.post(f"{self.programs}/v1/chat/completions", json=body, headers=headers).raise_for_status()

    def used(self) -> dict[str, float]:
        """Processor seconds that each part has used."""
        return {part: processor_seconds(pid) for part, pid in self.pids().items()}


@contextmanager
def logged(place: Path, model: str) -> Iterator[Served]:
    """`t0dspy up`."""
    configs = _configs(place, model)
    env = {"T0DSPY_PROGRAMS_KEY": KEY, "PYTHONPATH": str(place)}
    with up(configs, place / "data", place / "log", **env) as running:
        yield Served(running.urls["gateway"], running.urls["programs"], lambda: running.pids)


@contextmanager
def unlogged(place: Path, model: str) -> Iterator[Served]:
    """The program server, and a gateway without a database."""
    configs = _configs(place, model, observed=False)
    env = {**os.environ, "T0DSPY_PROGRAMS_KEY": KEY, "PYTHONPATH": str(place), "RUST_LOG": "off"}
    command = [sys.executable, "-m", "benchmarks.unlogged", str(configs)]
    here = Path(__file__).parent.parent
    gateway = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env, cwd=here)
    assert gateway.stdout is not None
    started = [gateway]
    try:
        url, port = gateway.stdout.readline().strip(), _free_port()
        command = [COMMAND, "serve", f"--port={port}", f"--gateway-url={url}"]
        with (place / "serve.log").open("w") as log:
            programs = subprocess.Popen(command, stderr=log, env=env, cwd=place)
        started.insert(0, programs)
        while not _ready(f"http://127.0.0.1:{port}"):
            time.sleep(0.1)
        pids = {"gateway": gateway.pid, "programs": programs.pid}
        yield Served(url, f"http://127.0.0.1:{port}", lambda: pids)
    finally:
        for process in started:
            process.terminate()
            process.communicate()


def _configs(place: Path, model: str, *, observed: bool = True) -> Path:
    """The gateway's config, with the programs in it."""
    configs = place / "configs"
    configs.mkdir(exist_ok=True)
    (place / "app.py").write_text(APP)
    text = BASE.format(url=model) + _PLAIN
    (configs / "tensorzero.toml").write_text(text if observed else text.replace("enabled = true", "enabled = false"))
    for name in ("stories", "question"):
        t0dspy.export(f"app:{name}", configs, model="m", verify=False, adapter="chat")
    return configs


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _ready(url: str) -> bool:
    """Whether the program server takes runs."""
    try:
        return httpx.get(f"{url}/ready", trust_env=False).status_code == 200
    except httpx.ConnectError:
        return False
