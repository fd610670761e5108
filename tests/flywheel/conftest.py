"""A running stack whose programs the flywheel's tests call."""

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tensorzero import TensorZeroGateway

from flywheel.harness import Production, exported
from runtime.harness import Served, storyteller
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
