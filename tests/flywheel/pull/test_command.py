"""`t0dspy pull`, as a user types it, in good times and bad."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.clickhouse import Server
from support.production import Production
from support.stack import COMMAND, bare_environment
from t0dspy.cli import app
from t0dspy.cli.failures import run_command
from t0dspy.errors import WarehouseError
from t0dspy.flywheel.example import PulledExample
from t0dspy.flywheel.pull.examples import pull_examples
from t0dspy.flywheel.pull.plan import PullOptions
from t0dspy.warehouse.client import Warehouse

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def pull(production: Production, project: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Exit code, stdout and stderr of the command, which finds this test's rows."""

    def run(*words: str, url: str = production.clickhouse_url) -> tuple[int, str, str]:
        arguments = ["pull", *words, f"--configs={production.configs}", f"--clickhouse-url={url}"]
        arguments += [] if "--tag" in words else ["--tag", f"test={production.tag}"]
        code = run_command(lambda: app(arguments, standalone_mode=False))
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_lines_and_summary(production: Production, pull: Command) -> None:
    """Lines on stdout; on stderr what was read, left out, and why."""
    production.say(production.infer("tales", topic="cats"), "good", False)
    production.infer("tales", options={"variant_name": "v1"}, topic="dogs")
    code, lines, summary = pull("tales", "--window", "1d", "--metric", "good=false")
    assert code == 0
    (line,) = lines.splitlines()
    assert PulledExample.from_object(json.loads(line), "here").inputs == {"topic": "cats"}
    assert summary.startswith("tales: 1 examples with 2 stages, from 3 rows in ")
    code, lines, summary = pull("tales", "--json", "--include", "pinned")
    assert len(lines.splitlines()) == 2
    assert json.loads(summary).keys() == {
        *("program", "since", "until", "rows_read", "examples", "stages", "drops", "seconds")
    }
    _, _, summary = pull("tales")
    assert "left out       1  pinned by its caller" in summary
    assert pull("tales", "--quiet", "--out", "x.jsonl") == (0, "", "")


def test_a_metric_that_nobody_defines(production: Production, pull: Command) -> None:
    """Where nothing is found and no config knows the metric, the names there are are said."""
    production.say(production.infer("tales", topic="cats"), "good", False)
    code, lines, summary = pull("tales", "--metric", "goood=false")
    assert (code, lines) == (0, "")
    assert "note: no config defines a metric 'goood'; there are good, score." in summary
    assert "note:" not in pull("tales", "--metric", "good=true")[2]


def test_a_file_is_written_whole_or_not_at_all(production: Production, pull: Command, project: Path) -> None:
    """An old file stays until the new one is complete; nothing else is left."""
    production.infer("question", question="é\u2028?")
    out = project / "pulled.jsonl"
    out.write_text("old")
    code, _, said = pull("question", "--out", "pulled.jsonl", url=production.clickhouse_url + "x")
    assert (code, out.read_text()) == (1, "old")
    assert "there is no tensorzerox" in said
    assert pull("question", "--out", "pulled.jsonl")[0] == 0
    assert json.loads(out.read_text(encoding="utf-8"))["inputs"] == {"question": "é\u2028?"}
    assert os.listdir(project) == ["pulled.jsonl"]
    assert pull("question", "--out", "/dev/null")[0] == 0
    assert "cannot be written (No such file or directory)" in pull("question", "--out", "no/where")[2]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["talles"], "no exported program 'talles' in"),
        (["tales", "--window", "30"], "the window '30': write a number with m, h, d or w"),
        (["tales", "--until", "now"], "the time 'now': write it as 2026-11-30T12:00:00Z"),
        (["tales", "--version", "v7"], "tales has no version 'v7'; there are v1, v2."),
        (["tales", "--tag", "user"], "--tag 'user': write a name, =, and a value"),
        (["tales", "--metric", "good=maybe"], "--metric good=maybe: a metric's value is true, false or a number."),
        (["tales", "--metric", "good=nan"], "--metric good=nan"),
        (["tales", "--limit", "0"], "the limit 0"),
        (["tales", "--include", "x"], "include 'x': there are pinned, internal, evaluation, test."),
    ],
)
def test_wrong_words(pull: Command, words: list[str], says: str) -> None:
    """One message, before ClickHouse is asked."""
    code, lines, said = pull(*words, url="http://127.0.0.1:9/tensorzero")
    assert (code, lines) == (1, "")
    assert said.startswith("t0dspy: ")
    assert says in said
    assert len(said.splitlines()) == 1


def test_without_a_database(pull: Command, production: Production) -> None:
    """Down, another database, or one without the gateway's tables: one line that says which, without a password."""
    code, _, said = pull("tales", url="http://user:secret@127.0.0.1:9/tensorzero")
    assert (code, len(said.splitlines())) == (1, 1)
    assert "ClickHouse at http://127.0.0.1:9/tensorzero: Connection refused. Is `t0dspy up` running" in said
    assert "secret" not in said
    assert "'somewhere' is not a URL of ClickHouse" in pull("tales", url="somewhere")[2]
    base = production.served.urls["clickhouse"]
    assert "there is no JsonInference. Is this the database that the gateway writes to" in pull("tales", url=base)[2]


@pytest.mark.parametrize(
    "url",
    ["somewhere", "clickhouse://u:secret@h/db", "u:secret@h:8123/db", "http://u:secret@[::1/db", "http://h:x/db", ""],
)
def test_no_urls(url: str) -> None:
    """The message says what is wanted, and holds no password however the URL is broken."""
    with pytest.raises(WarehouseError, match="is not a URL of ClickHouse, such as http://localhost") as error:
        Warehouse(url)
    assert "secret" not in str(error.value)


def test_a_slow_database(production: Production) -> None:
    """A server that takes connections and says nothing is given up after a while."""
    import socket

    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(WarehouseError, match="did not answer in time"),
    ):
        Warehouse(f"http://127.0.0.1:{silent.getsockname()[1]}/tensorzero", patience=1)


def test_a_user_that_only_reads(production: Production) -> None:
    """Nothing is written, no setting is changed: the questions run as they are in a session that may do neither."""
    said = production.infer("tales", topic="cats")
    production.say(said, "good", True)
    plan = production.only("tales").stages[0]
    production.say(str(plan.inference_id), "good", True)
    with Warehouse(production.clickhouse_url) as warehouse:
        asked: list[dict[str, Any]] = []
        query = warehouse._client.query
        warehouse._client.query = lambda sql, **options: asked.append(options) or query(sql, **options)  # type: ignore[method-assign]
        warehouse._client.set_client_setting("readonly", "1")
        options = PullOptions(tags={"test": production.tag}, metrics={"good": True}, limit=5, fallbacks=False)
        assert len(list(pull_examples("tales", options, warehouse, production.configs))) == 1
    assert len(asked) >= 6
    assert all("settings" not in one for one in asked)


def test_a_reader_of_its_own(tmp_path: Path, production: Production) -> None:
    """A user with leave to read alone reads what is there (here: the gateway's tables, without rows)."""
    tables = "SELECT create_table_query FROM system.tables WHERE database = 'tensorzero' AND engine LIKE '%MergeTree'"
    passwords = {"P": "p", "R": "r"}
    users: Any = {"user": "writer", "password_env": "P", "environment": passwords}
    with Server(tmp_path / "data", "--reader", "reader", "--reader-password-env", "R", **users) as server:
        server.run("CREATE DATABASE tensorzero", user="writer", password="p")
        for (query,) in production.served.rows(tables):
            server.run(query.replace("\\'", "'"), user="writer", password="p")
        url = server.url.replace("http://", "http://reader:r@") + "/tensorzero"
        with Warehouse(url) as warehouse:
            found = pull_examples("tales", PullOptions(), warehouse, production.configs)
            assert (list(found), found.summary.complete) == ([], True)


def test_stopped_in_the_middle(production: Production, project: Path) -> None:
    """Ctrl-C ends it at once, with 130; a reader that goes away ends it with 0."""
    for number in range(3):
        production.infer("question", question=f"{number}" * 100_000)
    words = ["pull", "question", f"--configs={production.configs}", f"--clickhouse-url={production.clickhouse_url}"]
    os.mkfifo(project / "slow")
    command = [COMMAND, *words, "--out=slow"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=bare_environment()) as process:
        with (project / "slow").open("rb") as reader:
            assert reader.read(1) == b"{"  # more than the pipe holds is on its way
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
        assert process.stderr is not None
        assert process.stderr.read() == "Interrupted.\n"
    piped = f"{COMMAND} {' '.join(words)} --quiet | head -c 10; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", piped], capture_output=True, text=True, env=bare_environment(), check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, '{"inputs":', "")
