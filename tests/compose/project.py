"""A user's directory for the compose test: the compose files, .env, keys.env, configs, a program, data."""

import json
import os
import random
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
from images import IMAGE, ROOT, Skip, docker

HERE = Path(__file__).parent
TOOL = str(Path(sys.executable).with_name("t0dspy"))
PASSWORD, KEY, PROVIDER_KEY = "a1b2c3d4e5", "f6a7b8c9d0", "sk-0123456789"
OWNER = os.getuid() or 12345
"""Who owns the configs; root is nobody that a job should run as."""
FILES = ("compose.yaml", "compose.airgapped.yaml", "upstream.yaml")
OURS = ("T0DSPY_", "TENSORZERO_", "CLICKHOUSE_", "COMPOSE_", "OPENAI_", "CODE", "SETTINGS", "OWNER_", "DATA", "METRIC")

PROGRAM = """
import dspy


class Review(dspy.Module):
    def __init__(self):
        super().__init__()
        self.plan = dspy.Predict(dspy.Signature("spec -> plan", "INSTRUCTIONS"))
        self.write = dspy.Predict("plan -> review")

    def forward(self, spec):
        return self.write(plan=self.plan(spec=spec).plan)


program = Review()
"""


SETTINGS = """
gateway_url = "{url}"
clickhouse_url = "{database}"

[programs.review]
program = "app.review:program"
signature = "spec -> review"
model = "scripted"
adapter = "chat"
metric = "metric:grade"
gold = "required"
task_model = {{ model = "openai/scripted", api_base = "http://upstream:1234/v1", num_retries = 0 }}
trainset = "data/train.jsonl"
valset = "data/val.jsonl"
holdout = "data/holdout.jsonl"
max_demos = 0
"""

METRIC = """
def grade(example, prediction, trace=None):
    return prediction.review == example.review
"""

EXAMPLES = {"train": 24, "val": 24, "holdout": 40}


def specs(count: int, seed: str) -> list[str]:
    """Texts that are no near-duplicates of each other."""
    rng = random.Random(seed)
    return [" ".join("".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=7)) for _ in range(5)) for _ in range(count)]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Project:
    """A user's directory: the compose files, .env, configs, a program."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.name = f"t0dspytest{os.getpid()}"
        self.gateway, self.clickhouse = free_port(), free_port()
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        self.env |= {"COMPOSE_PROJECT_NAME": self.name, "T0DSPY_IMAGE": IMAGE}
        self.compose_command = _compose()
        for name in (*FILES[:2], "clickhouse-users.xml"):
            shutil.copy(ROOT / name, directory)
        for name in ("upstream.yaml", "upstream.py"):
            shutil.copy(HERE / name, directory)
        shutil.copytree(ROOT / "configs", directory / "configs", ignore=shutil.ignore_patterns("programs"))
        shutil.copy(HERE / "scripted.toml", directory / "configs")
        (directory / "t0dspy.toml").write_text(SETTINGS.format(url=self.url, database=self.database))
        (directory / "metric.py").write_text(METRIC)
        (directory / ".t0dspy/retrain").mkdir(parents=True)
        (directory / "app").mkdir()
        (directory / "app/__init__.py").touch()
        (directory / "data").mkdir()
        for name, count in EXAMPLES.items():
            lines = [json.dumps({"spec": one, "review": f"a careful review of {one}"}) for one in specs(count, name)]
            (directory / f"data/{name}.jsonl").write_text("\n".join(lines) + "\n")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.gateway}"

    @property
    def database(self) -> str:
        return f"http://t0dspy:{PASSWORD}@127.0.0.1:{self.clickhouse}/tensorzero"

    def write_env(self) -> None:
        """What a user does with .env.example."""
        text = (ROOT / ".env.example").read_text()
        filled = {"CLICKHOUSE_PASSWORD": PASSWORD, "T0DSPY_PROGRAMS_KEY": KEY}
        for name, value in filled.items():
            text = text.replace(f"{name}=\n", f"{name}={value}\n")
        text += f"OWNER_UID={OWNER}\nOWNER_GID={OWNER}\nCODE=app\nSETTINGS=t0dspy.toml\nDATA=data\nMETRIC=metric.py\n"
        text += f"GATEWAY_PORT={self.gateway}\nCLICKHOUSE_PORT={self.clickhouse}\n"
        (self.directory / ".env").write_text(text)
        keys = (ROOT / "keys.env.example").read_text().replace("OPENAI_API_KEY=\n", f"OPENAI_API_KEY={PROVIDER_KEY}\n")
        (self.directory / "keys.env").write_text(f"{keys}SCRIPTED_KEY={PROVIDER_KEY}\n")

    def hand_over(self) -> None:
        """Give what the job writes to its user, as `OWNER_UID` asks."""
        if os.getuid() == 0:
            for top in ("configs", ".t0dspy"):
                for path in (self.directory / top, *(self.directory / top).rglob("*")):
                    os.chown(path, OWNER, OWNER)

    def export(self, instructions: str, *flags: str) -> None:
        (self.directory / "app/review.py").write_text(PROGRAM.replace("INSTRUCTIONS", instructions))
        self.tool("export", "review", *flags)

    def compose(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        files = [flag for name in FILES for flag in ("-f", name)]
        command = [*self.compose_command, *files, *arguments]
        return subprocess.run(command, cwd=self.directory, env=self.env, text=True, capture_output=True, check=False)

    def tool(self, *arguments: str, code: int = 0) -> str:
        """Run t0dspy on this machine; returns what it printed."""
        done = subprocess.run(
            [TOOL, *arguments], cwd=self.directory, env=self.env, text=True, capture_output=True, check=False
        )
        assert done.returncode == code, (
            f"t0dspy {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return done.stdout + done.stderr

    def container(self, service: str) -> dict[str, Any]:
        found = docker("ps", "-aq", "-f", f"label=com.docker.compose.project={self.name}",
                       "-f", f"label=com.docker.compose.service={service}").stdout.split()  # fmt: skip
        return dict(json.loads(docker("inspect", found[0]).stdout)[0])

    def rows(self, sql: str) -> list[str]:
        query = {"database": "tensorzero", "query": sql}
        auth = ("t0dspy", PASSWORD)
        answer = httpx.get(f"http://127.0.0.1:{self.clickhouse}/", params=query, auth=auth, trust_env=False)
        assert answer.status_code == 200, answer.text
        return answer.text.splitlines()

    def call(self, spec: str) -> httpx.Response:
        block = {"type": "template", "name": "user", "arguments": {"spec": spec}}
        body = {"function_name": "review", "input": {"messages": [{"role": "user", "content": [block]}]}}
        return httpx.post(f"{self.url}/inference", json=body, timeout=60, trust_env=False)


def _compose() -> list[str]:
    if docker("compose", "version").returncode == 0:
        return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    raise Skip("there is no docker compose")
