"""A project whose program has been in production for a while: logged calls, feedback, demonstrations."""

import json
import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import t0dspy
from support.scripted import luck, skilled
from support.served import Served
from t0dspy.gateway import Call, HttpGateway, input_messages
from t0dspy.runtime.chat_text import chat_text
from t0dspy.testing import ScriptedUpstream

CAREFUL = skilled(0.4, careful=0.4)
"""A model that an instruction makes better."""


def exported(configs: Path) -> None:
    """Export the programs that have been in production."""
    for name in ("shout", "duo"):
        t0dspy.export(f"shouting:{name}", configs, name=name, model="m", adapter="chat", demos="system", verify=False)


SETTINGS = """
[programs.{name}]
program = "shouting:{name}"
model = "m"
adapter = "chat"
demos = "system"
metric = "shouting:{metric}"
gold = "{gold}"
task_model = {{ model = "openai/scripted", api_base = "{url}", num_retries = 1 }}
prices = {{ "openai/scripted" = {{ input = 1.0, output = 10.0 }} }}
min_holdout = {min_holdout}
{more}
"""


def words(count: int, seed: int = 1) -> list[str]:
    """Questions that are no near-duplicates of each other."""
    rng = random.Random(seed)
    letters = "abcdefghijklmnopqrstuvwxyz"
    return [" ".join("".join(rng.choices(letters, k=7)) for _ in range(6)) for _ in range(count)]


def produce(served: Served, questions: list[str], name: str = "shout") -> None:
    """Call a program in production; people rate every answer, and correct half of all answers."""
    gateway = HttpGateway(served.url)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda question: _ask_and_rate(gateway, name, question), questions))
    gateway.close()


def _ask_and_rate(gateway: HttpGateway, name: str, question: str) -> None:
    inference = gateway.infer(Call(name, input_messages({"question": question}, 0)))

    def say(metric: str, value: Any) -> None:
        gateway.feedback({"inference_id": inference.inference_id, "metric_name": metric, "value": value})

    good = question.upper() in inference.text
    say("good", good)
    if not good and luck("comment", question) < 0.3:
        say("comment", "please shout")
    if luck("person", question) < 0.6:
        fields = {"answer": question.upper()}
        say("demonstration", chat_text(fields) if name == "shout" else fields)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + "}"
    return json.dumps(value)


class Project:
    """A copy of the configs with settings and a task model of its own; the database is shared."""

    def __init__(self, directory: Path, served: Served, upstream: ScriptedUpstream) -> None:
        self.directory, self.served, self.upstream = directory, served, upstream
        self.configs = directory / "configs"
        shutil.copytree(served.configs, self.configs)
        self.settings()

    @property
    def database(self) -> str:
        return self.served.urls["clickhouse"] + "/tensorzero"

    def settings(
        self, metric: str = "right", gold: str = "required", min_holdout: int = 10, name: str = "shout", **more: Any
    ) -> None:
        """Write the settings."""
        more = {"yearly_risk": "off", **more}
        lines = "\n".join(f"{key} = {_toml(value)}" for key, value in more.items())
        text = SETTINGS.format(
            name=name, metric=metric, gold=gold, url=self.upstream.url, min_holdout=min_holdout, more=lines
        )
        (self.directory / "t0dspy.toml").write_text(text)

    def retrain(self, name: str = "shout", **options: Any) -> Any:
        """`t0dspy.retrain` here."""
        progress = options.pop("progress", lambda text: None)
        given = t0dspy.RetrainOptions(**{"verify": False, "threads": 4, **options})
        return t0dspy.retrain(
            name,
            given,
            configs=self.configs,
            clickhouse_url=self.database,
            progress=progress,
            state=self.directory / ".t0dspy",
        )

    def tree(self) -> dict[str, bytes]:
        """All files of the configs."""
        return {
            str(path.relative_to(self.configs)): path.read_bytes()
            for path in sorted(self.configs.rglob("*"))
            if path.is_file()
        }

    def manifest(self, name: str = "shout") -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.configs / f"programs/{name}/manifest.json").read_text())
        return found
