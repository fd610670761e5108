"""Stacks for tests: their own directory, a scripted model provider, migrations already applied."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.stack import ANSWER, Stack, write_config
from t0dspy.testing import ScriptedUpstream


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    """The model provider of the module's stacks; tests that change its script use `scripted`."""
    with ScriptedUpstream(ANSWER) as server:
        yield server


@pytest.fixture
def scripted(upstream: ScriptedUpstream) -> Iterator[ScriptedUpstream]:
    """The model provider, with its script put back and its requests forgotten after the test."""
    upstream.requests.clear()
    yield upstream
    upstream.script = ANSWER


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, migrated: Path, upstream: ScriptedUpstream) -> Iterator[Stack]:
    """A running stack for tests that leave it running."""
    directory = tmp_path_factory.mktemp("stack")
    shutil.copytree(migrated, directory / "data", symlinks=True)
    write_config(directory / "configs")
    with Stack(directory, upstream).start() as running:
        yield running
        assert running.stop() == 0
        assert "Traceback" not in running.said()


@pytest.fixture
def make_stack(tmp_path: Path, migrated: Path, upstream: ScriptedUpstream) -> Iterator[Callable[..., Stack]]:
    """Makes stacks that are not started yet, each in a directory of its own; ends them after the test."""
    made: list[Stack] = []

    def make(*flags: str, name: str = "stack", async_writes: bool = False, **env: str) -> Stack:
        directory = tmp_path / name
        shutil.copytree(migrated, directory / "data", symlinks=True)
        write_config(directory / "configs", async_writes=async_writes)
        made.append(Stack(directory, upstream, *flags, **env))
        return made[-1]

    yield make
    for stack in made:
        if hasattr(stack, "process"):
            stack.kill()
