"""ClickHouse's password: private files, `up --show-password`, commands that find it, and clients that use it."""

import json
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import clickhouse_connect
import pytest
from clickhouse_connect.driver.external import ExternalData

from support.stack import COMMAND, Stack, bare_environment
from t0dspy.errors import WarehouseError
from t0dspy.settings import load_settings
from t0dspy.stack.processes import credentials
from t0dspy.stack.processes.locate import locate
from t0dspy.warehouse.client import Warehouse


def _run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of a user in `directory`."""
    return subprocess.run(
        [COMMAND, *arguments],
        cwd=directory,
        env=bare_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _password(stack: Stack) -> str:
    return (stack.data_dir / credentials.FILE).read_text(encoding="ascii").strip()


@pytest.mark.parametrize("name", [credentials.FILE, "stack.json"])
def test_secret_files_are_for_their_owner_alone(stack: Stack, name: str) -> None:
    """Both hold the password, and others can read neither."""
    file = stack.data_dir / name
    assert _password(stack) in file.read_text(encoding="ascii")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(stack.data_dir.stat().st_mode) == 0o700


def test_show_password_prints_a_url_for_notebooks(stack: Stack) -> None:
    """The URL of the running stack works in clickhouse-connect: queries, inserts, external data, a session."""
    shown = _run(stack.directory, "up", "--data-dir", str(stack.data_dir), "--show-password")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout == f"{stack.secret_url()}/tensorzero\n"
    with clickhouse_connect.get_client(dsn=shown.stdout.strip()) as client:
        assert client.command("SELECT currentDatabase()") == "tensorzero"
        client.command("CREATE TEMPORARY TABLE mine (number Int64, text String)")
        client.insert("mine", [[1, "a"], [2, "ü"]], column_names=["number", "text"])
        assert client.query("SELECT * FROM mine ORDER BY number").result_rows == [(1, "a"), (2, "ü")]
        outside = ExternalData(file_name="ids.csv", fmt="CSV", structure="id Int64", data=b"2\n3\n")
        found = client.query("SELECT text FROM mine WHERE number IN (SELECT id FROM ids)", external_data=outside)
        assert found.result_rows == [("ü",)]


@pytest.mark.parametrize("part", ["clickhouse", "everything"])
def test_show_password_at_a_start(make_stack: Callable[..., Stack], part: str) -> None:
    """As a flag of a start it shows the URL after `ready`; without it, no output has the password."""
    flags = ["--only=clickhouse"] if part == "clickhouse" else []
    stack = make_stack("--show-password", *flags)
    process = stack.launch()
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    shown = process.stdout.readline().split()
    assert shown == ["clickhouse", f"{stack.secret_url()}/tensorzero"]
    assert f":{_password(stack)}@" in shown[1]
    assert stack.stop() == 0
    assert _password(stack) not in stack.said()


def test_commands_find_the_running_stack(stack: Stack, project: Path) -> None:
    """Where no flag, environment or setting names URLs, the stack of `data_dir` is used; its password is not shown."""
    (project / "t0dspy.toml").write_text(f"[apply]\ndata_dir = {json.dumps(str(stack.data_dir))}\n", encoding="utf-8")
    found = locate(load_settings(project))
    assert (found.gateway_url.value, found.clickhouse_url.value) == (stack.url, f"{stack.secret_url()}/tensorzero")
    inference = stack.infer().json()["inference_id"]
    assert _run(project, "feedback", inference, "good", "true").returncode == 0
    wrong = _run(project, "feedback", inference, "unknown", "true")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "Unknown metric" in wrong.stderr
    with Warehouse(found.clickhouse_url.value) as database:
        assert database.inference(inference) is not None
    outdated = _password(stack)[::-1]
    with pytest.raises(WarehouseError) as refused:
        Warehouse(found.clickhouse_url.value.replace(_password(stack), outdated))
    shown = f"{refused.value}{wrong.stderr}{stack.said()}"
    assert _password(stack) not in shown
    assert outdated not in shown
