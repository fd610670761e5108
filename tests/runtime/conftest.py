"""A running stack with exported programs, whose models are scripted."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.served import ProgramServer, Served, export, storyteller
from t0dspy.testing import ScriptedUpstream


@pytest.fixture(scope="session")
def model() -> Iterator[ScriptedUpstream]:
    """The model provider of the stack."""
    with ScriptedUpstream(storyteller) as server:
        yield server


@pytest.fixture
def scripted(model: ScriptedUpstream) -> Iterator[ScriptedUpstream]:
    """The model provider, with its script put back and its requests forgotten after the test."""
    model.requests.clear()
    yield model
    model.script = storyteller


def exported(configs: Path) -> None:
    """Everything the tests call."""
    export(configs, "stories:stories", name="tales")
    export(configs, "stories:stories", name="tales", instructions="NEW instructions.", traffic=0.5)
    export(configs, "stories:both", signature="topic -> left, right")
    export(configs, "stories:naughty", signature="topic: str -> text: str", stage_timeout=3, run_timeout=6)
    export(configs, "stories:library")
    export(configs, "stories:question")
    export(configs, "stories:asker")
    export(configs, "stories:thinker", adapter="json")
    export(configs, "stories:agent")
    export(configs, "stories:taciturn")
    export(configs, "stories:best_of_three")
    export(configs, "stories:mixed")
    export(configs, "stories:with_demos", name="mixed", traffic=1.0)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, migrated: Path, model: ScriptedUpstream) -> Iterator[Served]:
    """A running stack, the program server included; one for each test process, since it takes a while to start."""
    directory = tmp_path_factory.mktemp("served")
    shutil.copytree(migrated, directory / "data", symlinks=True)
    with Served(directory, model) as stack:
        stack.programs(exported)
        yield stack.start()
        assert stack.stop() == 0
        assert "Traceback" not in stack.said()


@pytest.fixture(scope="session")
def server(served: Served) -> Iterator[ProgramServer]:
    """A program server with one worker, called directly; tests leave it running."""
    with ProgramServer(served, "--workers=1") as running:
        yield running
