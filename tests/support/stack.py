"""A stack as a user runs it: the command in a process of its own, watched from outside."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import httpx
from filelock import FileLock

from t0dspy.stack.processes.data_dir import find_clickhouse
from t0dspy.testing import ScriptedUpstream

COMMAND = str(Path(sys.executable).parent / "t0dspy")
ANSWER = '{"answer":"42"}'
HELLO = {"messages": [{"role": "user", "content": "hello"}]}

BASE = """
[gateway.observability]
enabled = true
async_writes = {async_writes}

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

CONFIG = (
    BASE
    + """
[functions.qa]
type = "json"
output_schema = "qa/out.json"

[functions.qa.variants.v1]
type = "chat_completion"
model = "m"
json_mode = "on"
templates.system.path = "qa/system.minijinja"

[functions.talk]
type = "chat"

[functions.talk.variants.v1]
type = "chat_completion"
model = "m"
"""
)

OUTPUT_SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
    "additionalProperties": False,
}


def write_config(directory: Path, system: str = "Answer in JSON.", *, async_writes: bool = False) -> Path:
    """A config with a json function `qa`, a chat function `talk` and two metrics, whose model lives at `upstream`."""
    (directory / "qa").mkdir(parents=True, exist_ok=True)
    text = CONFIG.format(async_writes=str(async_writes).lower())
    (directory / "tensorzero.toml").write_text(text, encoding="utf-8")
    (directory / "qa" / "out.json").write_text(json.dumps(OUTPUT_SCHEMA), encoding="utf-8")
    (directory / "qa" / "system.minijinja").write_text(system, encoding="utf-8")
    return directory


def bare_environment() -> dict[str, str]:
    """The environment without anything of the developer's that the stack would read."""
    return {name: value for name, value in os.environ.items() if not _of_the_developer(name)}


def _of_the_developer(name: str) -> bool:
    return name.endswith("_API_KEY") or name.startswith(("TENSORZERO_", "T0DSPY_")) or name.lower().endswith("_proxy")


class Stack:
    """`t0dspy up` on free ports; `start` returns once it says `ready`."""

    def __init__(self, directory: Path, upstream: ScriptedUpstream | None = None, *flags: str, **env: str) -> None:
        self.directory, self.flags, self.env = directory, list(flags), env
        self.configs, self.data_dir = directory / "configs", directory / "data"
        self.urls: dict[str, str] = {}
        self.expects_problems = False
        """Whether `ready` may name programs that cannot run."""
        if upstream is not None:
            self.flags.append(f"--address=upstream={upstream.url.removeprefix('http://').removesuffix('/v1')}")

    def launch(self) -> subprocess.Popen[str]:
        """Start the command, and do not wait for anything."""
        ports = ("--gateway-port=0", "--clickhouse-port=0", "--programs-port=0")
        command = [COMMAND, "up", f"--configs={self.configs}", f"--data-dir={self.data_dir}", *ports, *self.flags]
        with self.log.open("w") as errors:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, env={**bare_environment(), **self.env}
            )
        return self.process

    def start(self) -> Self:
        """Start the command and read the URLs it prints."""
        process = self.launch()
        assert process.stdout is not None
        first = process.stdout.readline()
        if first.strip() != "ready" and not (self.expects_problems and first.startswith("ready, except")):
            process.stdout.close()
            raise AssertionError(f"no ready, but {first!r}, exit {process.wait(30)}: {self.said()}")
        last = "gateway" if any(flag.startswith("--only") for flag in self.flags) else "programs"
        while last not in self.urls:
            line = process.stdout.readline()
            assert line, self.said()
            part, _, url = line.strip().partition(" ")
            if url.strip().startswith("http://"):
                self.urls[part] = url.strip()
        if "clickhouse" in self.urls:
            self.urls["clickhouse"] = self.secret_url()
        return self

    def secret_url(self) -> str:
        """ClickHouse's URL with user and password, as it stands in the run file."""
        return str(find_clickhouse(self.data_dir))

    @property
    def log(self) -> Path:
        return self.directory / "stderr.log"

    @property
    def url(self) -> str:
        return self.urls["gateway"]

    def said(self) -> str:
        """What the command wrote to stderr."""
        return self.log.read_text(encoding="utf-8")

    def wait_said(self, text: str, patience: float = 20) -> str:
        """Wait until stderr holds `text`."""
        wait_until(lambda: text in self.said(), patience, lambda: f"{text!r} in {self.said()!r}")
        return self.said()

    def pids(self) -> dict[str, int]:
        """The parts' processes, out of the run file."""
        pids: dict[str, int] = json.loads((self.data_dir / "stack.json").read_text())["pids"]
        return pids

    def stop(self, number: int = signal.SIGTERM, patience: float = 30) -> int:
        """Signal the command and return its exit code."""
        self.process.send_signal(number)
        return self.ended(patience)

    def ended(self, patience: float = 30) -> int:
        """Wait for the command's exit code."""
        try:
            return self.process.wait(patience)
        finally:
            if self.process.stdout:
                self.process.stdout.close()
            self.urls = {}

    def kill(self) -> None:
        """`kill -9` of the command, whatever it was doing; ends what a failed test left running too."""
        if self.process.poll() is None:
            self.process.kill()
        self.ended()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def post(self, path: str, body: Any, **options: Any) -> httpx.Response:
        """One request on a connection of its own."""
        return httpx.post(self.url + path, json=body, timeout=60, trust_env=False, **options)

    def infer(self, **body: Any) -> httpx.Response:
        """One inference of `qa`."""
        return self.post("/inference", {"function_name": "qa", "input": HELLO, **body})

    def status(self) -> dict[str, str]:
        """What `/status` says."""
        answer: dict[str, str] = httpx.get(self.url + "/status", trust_env=False).json()
        return answer

    def rows(self, sql: str) -> list[list[str]]:
        """A query straight at ClickHouse."""
        url = self.urls["clickhouse"] + "/?database=tensorzero"
        answer = httpx.post(url, content=f"{sql} FORMAT TabSeparated", timeout=60, trust_env=False)
        assert answer.status_code == 200, answer.text
        return [line.split("\t") for line in answer.text.splitlines()]

    def stored(self, table: str) -> set[str]:
        """The ids in a table."""
        return {id for (id,) in self.rows(f"SELECT toString(id) FROM {table}")}


def wait_until(happened: Any, patience: float = 20, what: Any = lambda: "it") -> None:
    """Wait for something to become true."""
    end = time.monotonic() + patience
    while not happened():
        assert time.monotonic() < end, f"waited {patience} s for {what()}"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def migrated_data(shared: Path) -> Path:
    """A data directory with all migrations applied, made once for all test processes; to be copied."""
    made = shared / "migrated"
    with FileLock(shared / "migrated.lock"):
        if not (made / "data").exists():
            shutil.rmtree(made, ignore_errors=True)
            write_config(made / "configs")
            stack = Stack(made).start()
            assert stack.stop() == 0
    return made / "data"


MakeStack = Callable[..., Stack]
"""The fixture `make_stack`: makes a stack that is not started yet."""


def refused(stack: Stack) -> str:
    """The one message of a stack that does not start: exit 1, nothing on stdout, nothing left running."""
    process = stack.launch()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1, stack.said()
    assert out == ""
    assert not (stack.data_dir / "stack.json").exists()
    lines = [line for line in stack.said().splitlines() if line.startswith("t0dspy: ")]
    assert len(lines) == 1, stack.said()
    assert "Traceback" not in stack.said()
    return stack.said()
