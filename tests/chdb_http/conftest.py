"""One server for the tests that leave it as they found it, and a database for each of them."""

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.clickhouse import Server

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running server; it logs nothing and stops cleanly whatever was done to it."""
    running = Server(tmp_path_factory.mktemp("clickhouse") / "data")
    yield running
    code, errors = running.stop()
    assert (code, errors) == (0, "")


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    """A database of the test's own."""
    name = f"test_{next(_numbers)}"
    server.run(f"CREATE DATABASE {name}")
    yield name
    server.run(f"DROP DATABASE {name}")


@pytest.fixture
def table(server: Server, database: str) -> str:
    """An empty table `id UInt64, name String` of the test's own."""
    server.run("CREATE TABLE t (id UInt64, name String) ENGINE = MergeTree ORDER BY id", database=database)
    return f"{database}.t"


@pytest.fixture
def data(tmp_path: Path, migrated: Path) -> Path:
    """A data directory with TensorZero's tables."""
    shutil.copytree(migrated / "clickhouse", tmp_path / "data", symlinks=True)
    return tmp_path / "data"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Server]:
    """A server with TensorZero's tables, for tests that add rows only."""
    data = tmp_path_factory.mktemp("shared") / "data"
    shutil.copytree(migrated / "clickhouse", data, symlinks=True)
    running = Server(data)
    yield running
    assert running.stop() == (0, "")


@pytest.fixture
def function() -> str:
    """A function's name of the test's own."""
    return f"f{next(_numbers)}"
