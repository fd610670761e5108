"""The directory that a demo works in: a project like a user's, with settings, a config and the program."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit
from filelock import FileLock, Timeout

from examples.spec_to_review.demo.processes import DemoError

ROOT = Path(__file__).parents[3]
MARK = "this directory is made and removed by the demo\n"
SETTINGS = """\
# Written by the demo. With these, `t0dspy export spec_to_review` and the others need no flags here.

[programs.spec_to_review]
program = "examples.spec_to_review.program:spec_to_review"
signature = "examples.spec_to_review.program:Contract"
state = "optimized.json"
model = "main"
adapter = "chat"

metric = "examples.spec_to_review.metric:grade"
metric_threshold = 0.8
holdout = "examples/spec_to_review/data/holdout.jsonl"
task_model = {{ model = "openai/offline", api_base = "http://{address}/v1" }}   # its key: OPENAI_API_KEY=none

[stack.addresses]
offline-model = "{address}"   # python -m examples.spec_to_review.offline

[apply]
data_dir = ".t0dspy/stack"
"""

SPEC = """\
We need a function `shout(words)`. `words` is a list of strings. Write each in upper case, then join them with blanks.

`shout(['a', 'b'])` gives `'A B'`. For `shout(['to', 'sea', 'again'])` the answer is `'TO SEA AGAIN'`.
"""


@dataclass(frozen=True)
class Project:
    """Where things are."""

    directory: Path

    @property
    def configs(self) -> Path:
        """TensorZero's config."""
        return self.directory / "configs"

    @property
    def state(self) -> Path:
        """The optimized program."""
        return self.directory / "optimized.json"

    @property
    def logs(self) -> Path:
        """What the processes said."""
        return self.directory / "logs"

    def write_settings(self, address: str) -> None:
        """The project's settings, with the offline model at `address`."""
        (self.directory / "t0dspy.toml").write_text(SETTINGS.format(address=address), encoding="utf-8")


def make(directory: Path) -> Project:
    """A fresh project in `directory`, in place of what an earlier demo left there.

    Raises:
        DemoError: something else is there.
    """
    mark = directory / ".demo"
    if directory.exists() and any(directory.iterdir()) and not mark.exists():
        raise DemoError(f"{directory} holds something that is not the demo's. Name another place with --directory.")
    shutil.rmtree(directory, ignore_errors=True)
    project = Project(directory)
    project.logs.mkdir(parents=True)
    project.configs.mkdir()
    mark.write_text(MARK, encoding="utf-8")
    (directory / "examples").symlink_to(ROOT / "examples")
    (directory / "spec.json").write_text(json.dumps({"spec": SPEC}, indent=2) + "\n", encoding="utf-8")
    (project.configs / "tensorzero.toml").write_text(_offline_config(), encoding="utf-8")
    return project


def locked(directory: Path) -> FileLock:
    """A lock that one demo at a time holds.

    Raises:
        DemoError: another one has it.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{directory}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise DemoError(f"another demo works in {directory}. Wait for it, or name another --directory.") from error
    return lock


def _offline_config() -> str:
    """The repository's own config, whose model is answered by the offline model."""
    config = tomlkit.parse((ROOT / "configs" / "tensorzero.toml").read_text(encoding="utf-8"))
    provider: Any = config["models"]["main"]["providers"]["provider"]
    provider["model_name"] = "offline"
    provider["api_base"] = "http://offline-model:8200/v1/"
    provider["api_key_location"] = "none"
    return tomlkit.dumps(config)
