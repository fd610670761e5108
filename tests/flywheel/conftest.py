"""A running stack whose programs the flywheel's tests call."""

import shutil
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tensorzero import TensorZeroGateway

from support import looped as loop
from support.production import Production, exported
from support.scripted import drafting, skilled
from support.served import APPS, Served, storyteller
from t0dspy.testing import ScriptedUpstream


@pytest.fixture(scope="session")
def model() -> Iterator[ScriptedUpstream]:
    """The model provider of the stack."""
    with ScriptedUpstream(storyteller) as server:
        yield server


@pytest.fixture
def scripted(model: ScriptedUpstream) -> Iterator[ScriptedUpstream]:
    """The model provider, with its script put back after the test."""
    yield model
    model.script = storyteller


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, migrated: Path, model: ScriptedUpstream) -> Iterator[Served]:
    """A running stack, the program server included; one for each test process."""
    directory = tmp_path_factory.mktemp("production")
    shutil.copytree(migrated, directory / "data", symlinks=True)
    with Served(directory, model) as stack:
        stack.programs(exported)
        yield stack.start()
        assert stack.stop() == 0


@pytest.fixture(scope="session")
def client(served: Served) -> Iterator[TensorZeroGateway]:
    with TensorZeroGateway.build_http(gateway_url=served.url, timeout=120) as gateway:
        yield gateway


@pytest.fixture
def production(served: Served, client: TensorZeroGateway) -> Production:
    """The stack, with a mark of this test's own."""
    return Production(served, client, uuid.uuid4().hex)


@pytest.fixture(scope="session")
def looped(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Served]:
    """A stack in whose production a model of skill 0.4 answered; one for each test process."""
    directory = tmp_path_factory.mktemp("looped")
    shutil.copytree(migrated, directory / "data", symlinks=True)
    sys.path.insert(0, str(APPS))
    questions = loop.words(90)
    with ScriptedUpstream(drafting(skilled(0.4))) as upstream, Served(directory, upstream) as stack:
        stack.env["PYTHONPATH"] = str(APPS)
        stack.programs(loop.exported)
        stack.start()
        loop.produce(stack, questions)
        loop.produce(stack, questions[:45], "duo")
        yield stack
    sys.path.remove(str(APPS))


@pytest.fixture
def task() -> Iterator[ScriptedUpstream]:
    """The task model of a retrain; an instruction makes it better."""
    with ScriptedUpstream(loop.CAREFUL) as upstream:
        yield upstream


@pytest.fixture
def shop(project: Path, looped: Served, task: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch) -> loop.Project:
    """A project with a production of its own, whose task model is `task`."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    return loop.Project(project, looped, task)
