"""A stack that cannot start exits with one message that names the reason."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from support.stack import (
    COMMAND,
    MakeStack,
    Stack,
    bare_environment,
    refused,
)


def test_a_second_stack_on_the_same_directory(make_stack: MakeStack) -> None:
    """One stack at a time on a data directory; the second says who has it, and the first goes on."""
    first = make_stack().start()
    second = Stack(first.directory)
    process = subprocess.run(
        [COMMAND, "up", f"--configs={second.configs}", f"--data-dir={second.data_dir}", "--gateway-port=0"],
        capture_output=True, text=True, env=bare_environment(), timeout=60, check=False,
    )  # fmt: skip
    assert process.returncode == 1
    assert f"process {first.process.pid}, {first.url}" in process.stderr
    assert first.infer().status_code == 200
    assert first.pids()


@pytest.mark.parametrize("part", ["gateway", "clickhouse"])
def test_a_port_in_use(make_stack: MakeStack, part: str) -> None:
    """A taken port is said with who holds it and which flag changes it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(make_stack(f"--{part}-port={port}"))
    assert f"Port {port}" in said
    assert f"process {os.getpid()}" in said
    assert f"--{part}-port" in said


def test_config_errors_come_in_tensorzeros_words(make_stack: MakeStack) -> None:
    """A config that does not hold is refused with TensorZero's own sentence and the user's own path."""
    stack = make_stack()
    good = (stack.configs / "tensorzero.toml").read_text()
    for broken, words in {
        good + "\n[nonsense]\n": "nonsense: unknown field `nonsense`",
        good.replace("qa/out.json", "qa/lost.json"): "Failed to resolve path `qa/lost.json`",
    }.items():
        (stack.configs / "tensorzero.toml").write_text(broken)
        said = refused(stack)
        assert words in said
        assert str(stack.configs) in said
        assert str(stack.data_dir) not in said


def test_a_missing_provider_key_is_named(make_stack: MakeStack) -> None:
    """A key that is not set is named, with the model that wants it."""
    stack = make_stack()
    with (stack.configs / "more.toml").open("w") as file:
        file.write('[models.big]\nrouting = ["x"]\n[models.big.providers.x]\ntype = "openai"\nmodel_name = "y"\n')
    said = refused(stack)
    assert "OPENAI_API_KEY is not set" in said
    assert "model 'big' (provider 'x')" in said
    stack.env["OPENAI_API_KEY"] = "sk-secret"
    assert stack.start().stop() == 0
    assert "sk-secret" not in stack.said()


def test_no_config_at_all(make_stack: MakeStack) -> None:
    """No directory, or one without TOML, is said so."""
    stack = make_stack()
    shutil.rmtree(stack.configs)
    assert "no config directory" in refused(stack)
    stack.configs.mkdir()
    assert "has no TOML file" in refused(stack)


def test_turned_off_observability_is_refused(make_stack: MakeStack) -> None:
    """A stack that would store nothing says so instead of serving."""
    stack = make_stack()
    file = stack.configs / "tensorzero.toml"
    file.write_text(file.read_text().replace("enabled = true", "enabled = false"))
    assert "observability" in refused(stack)


def test_foreign_and_unusable_data_directories(make_stack: MakeStack) -> None:
    """A directory that is not ours is left alone; a path that cannot be one is said so."""
    stack = make_stack()
    shutil.rmtree(stack.data_dir)
    stack.data_dir.mkdir()
    (stack.data_dir / "thesis.tex").write_text("precious")
    assert "thesis.tex" in refused(stack)
    assert [entry.name for entry in stack.data_dir.iterdir()] == ["thesis.tex"]
    for unusable in (stack.data_dir / "thesis.tex", stack.data_dir / "thesis.tex" / "below", Path("/proc/nowhere")):
        stack.data_dir = unusable
        assert "Cannot use the data directory" in refused(stack)


def test_a_foreign_database_inside(make_stack: MakeStack) -> None:
    """What is wrong with ClickHouse's own directory is said by ClickHouse's half, once."""
    stack = make_stack()
    shutil.rmtree(stack.data_dir / "clickhouse")
    (stack.data_dir / "clickhouse").mkdir()
    (stack.data_dir / "clickhouse" / "else.txt").write_text("x")
    assert "else.txt" in refused(stack)
