"""A running stack with exported programs in several versions, and the ways to change their traffic."""

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from runtime.harness import Served, export, storyteller
from t0dspy.cli import main
from t0dspy.rollout.apply import Place
from t0dspy.rollout.rollout import set_traffic
from t0dspy.settings import ApplySettings
from t0dspy.testing import ScriptedUpstream


class Ran(NamedTuple):
    """What a run of the tool printed, and its exit code."""

    code: int
    out: str
    err: str


class Project(Served):
    """A stack and the project around it."""

    said_notes: list[str]

    @property
    def place(self) -> Place:
        """Where the traffic is changed, and who serves it."""
        how = ApplySettings(data_dir=str(self.data_dir), timeout=20)
        notes: list[str] = []
        self.said_notes = notes
        return Place(self.configs, self.url, self.urls["clickhouse"] + "/tensorzero", how, given=True, say=notes.append)

    def settings(self, more: str = "") -> None:
        """The project's settings file."""
        lines = f'gateway_url = "{self.url}"\nclickhouse_url = "{self.urls["clickhouse"]}/tensorzero"\n'
        lines += f'[apply]\ndata_dir = "{self.data_dir}"\n{more}'
        (self.directory / "t0dspy.toml").write_text(lines)

    def variants(self, function: str = "question", count: int = 2) -> set[str]:
        """Who answers now."""
        answers = [self.call(function, {"question": "why"}) for _ in range(count)]
        return {one.json()["variant_name"] for one in answers}


def exported(configs: Path) -> None:
    """`question` in three versions, answered by the gateway alone, and `tales` in two, by the program server."""
    export(configs, "stories:question")
    export(configs, "stories:question", instructions="NEW instructions.")
    export(configs, "stories:question", instructions="NEWEST instructions.")
    export(configs, "stories:stories", name="tales")
    export(configs, "stories:stories", name="tales", instructions="NEW instructions.", traffic=0.5)


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exported programs; copy them."""
    directory = tmp_path_factory.mktemp("exported")
    made = Project(directory, upstream=None)  # type: ignore[arg-type]
    made.programs(exported)
    return made.configs


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory, migrated: Path, pristine: Path) -> Iterator[Project]:
    """One stack for each test process."""
    directory = tmp_path_factory.mktemp("rollout")
    shutil.copytree(migrated, directory / "data", symlinks=True)
    shutil.copytree(pristine, directory / "configs")
    with ScriptedUpstream(storyteller) as model, Project(directory, model) as stack:
        yield stack.start()
        assert stack.stop() == 0
        assert "Traceback" not in stack.said()


@pytest.fixture
def project(running: Project, pristine: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The stack as it was at first: v1 of `question` has all traffic, and no history."""
    shutil.rmtree(running.configs)
    shutil.copytree(pristine, running.configs)
    shutil.rmtree(running.directory / ".t0dspy", ignore_errors=True)
    monkeypatch.chdir(running.directory)
    running.settings()
    set_traffic(running.place, "question", {"v1": 1.0}, applying=True)
    return running


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Run the tool in this process."""

    def run(*arguments: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["t0dspy", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capsys.readouterr()
        return Ran(int(stop.value.code or 0), out, err)

    return run
