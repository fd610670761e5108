"""A running stack with exported programs in several versions, and the ways to change their traffic."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.rollout import Project, exported
from support.served import storyteller
from t0dspy.rollout.rollout import set_traffic
from t0dspy.testing import ScriptedUpstream


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
