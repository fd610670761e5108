"""A row may be acknowledged before the engine has it. Neither a reader nor `kill -9` makes a difference."""

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from support.clickhouse import Server
from support.stack import wait_until
from support.tensorzero_rows import (
    ASKED,
    DATABASE,
    ROWS,
    calls,
    chat,
    feedback,
    inferences,
    insertion,
    json_inference,
    model,
    send,
    was_kept,
)
from t0dspy.transport.episode import new_episode


def kept(data: Path) -> list[Path]:
    return sorted((data / "journal").iterdir())


@pytest.mark.parametrize("table", sorted(ROWS))
def test_whoever_reads_sees_what_was_acknowledged(shared: Server, function: str, table: str) -> None:
    """Each row is there for the next query, in the table and behind its views."""
    for number in range(1, 6):
        assert was_kept(send(shared, table, ROWS[table](function)))
        found = inferences(shared, function) if table == "ChatInference" else calls(shared, function)
        assert found
        assert found == dict.fromkeys(found, number)


@pytest.mark.parametrize(
    "read",
    [
        lambda server, copy: server.run(f"INSERT INTO {copy} SELECT id FROM ChatInference", database=DATABASE),
        lambda server, copy: server.run(f"ALTER TABLE ChatInference UPDATE tool_params = '{copy}' WHERE 1 "
                                        "SETTINGS mutations_sync = 1", database=DATABASE),
        lambda server, _: server.run("SELECT * FROM ChatInference LIMIT 1", database=DATABASE, session_id="s"),
    ],
    ids=["copied", "changed", "session"],
)  # fmt: skip
def test_every_statement_comes_after_the_rows_before_it(
    data: Path, function: str, read: Callable[[Server, str], str]
) -> None:
    """Whatever a statement does with a table, it does with all that was acknowledged."""
    with Server(data) as server:
        server.run("CREATE TABLE copied (id UUID) ENGINE = MergeTree ORDER BY id", database=DATABASE)
        row = chat(function)
        assert was_kept(send(server, "ChatInference", row))
        assert row["id"] in read(server, "copied") + server.run(
            "SELECT id FROM copied UNION ALL SELECT id FROM ChatInference WHERE tool_params = 'copied'",
            database=DATABASE,
        )


def test_json_functions_too(shared: Server, function: str) -> None:
    """Their inferences are in a table of their own, behind the same views."""
    assert was_kept(send(shared, "JsonInference", json_inference(function)))
    found = inferences(shared, function, "InferenceById", "InferenceTag", "TagInference", "VariantStatistics")
    assert found == dict.fromkeys(found, 1)


def test_several_rows_in_one_statement(shared: Server, function: str) -> None:
    """The gateway inserts all of an inference's calls at once."""
    rows = [model(function) for _ in range(3)]
    assert was_kept(send(shared, "ModelInference", *rows))
    assert set(calls(shared, function).values()) == {3}


@pytest.mark.slow
def test_kill_9_under_load(data: Path) -> None:
    """Twelve times under load: what was acknowledged is in each table and behind each view, once; the rest at most."""
    dice, acknowledged = random.Random(20261122), set[str]()

    def client(url: str, name: str, over: threading.Event) -> None:
        with httpx.Client(base_url=url, timeout=20, trust_env=False) as http:
            while not over.is_set():
                row = chat(name)
                try:
                    for table, one in (("ChatInference", row), ("ModelInference", model(name, inference_id=row["id"]))):
                        http.post(f"/?database={DATABASE}", content=insertion(table, one)).raise_for_status()
                except httpx.HTTPError:
                    return
                acknowledged.add(row["id"])

    for _ in range(12):
        server, over = Server(data), threading.Event()
        with ThreadPoolExecutor(4) as pool:
            before = len(acknowledged)
            clients = [pool.submit(client, server.url, "load", over) for _ in range(4)]
            wait_until(lambda before=before: len(acknowledged) > before + 5)  # type: ignore[misc]
            time.sleep(dice.uniform(0, 0.2))  # any moment will do
            server.stop(signal.SIGKILL)
            over.set()
        assert all(one.result() is None for one in clients)
    with Server(data) as server:
        stored = server.run("SELECT id FROM ChatInference", database=DATABASE).split()
        assert acknowledged <= set(stored)
        assert len(acknowledged) > 60
        found = inferences(server, "load")
        assert found == dict.fromkeys(found, len(stored))
        models = calls(server, "load")
        assert models == dict.fromkeys(models, models["ModelInference"])
        ids = server.run("SELECT inference_id FROM ModelInference", database=DATABASE).split()
        assert len(ids) == len(set(ids)) >= len(acknowledged)
        assert acknowledged <= set(ids)
        assert kept(data) == []


def test_a_stop_stores_what_was_acknowledged(data: Path, function: str) -> None:
    """After SIGTERM nothing waits in a file."""
    server = Server(data)
    assert was_kept(send(server, "ChatInference", chat(function)))
    assert server.stop() == (0, "")
    assert kept(data) == []
    with Server(data) as again:
        assert set(inferences(again, function).values()) == {1}


def with_odd_rows(data: Path) -> Server:
    """A server that has acknowledged rows of `odd` and cannot store them until TagChatInferenceView is dropped."""
    server = Server(data)
    send(server, "ChatInference", chat("even"), settings="")
    server.run("DROP VIEW TagChatInferenceView", database=DATABASE)
    throws = "SELECT id FROM ChatInference WHERE throwIf(tool_params = 'odd', 'no odd ones') = 0"
    server.run("CREATE TABLE odd (id UUID) ENGINE = MergeTree ORDER BY id", database=DATABASE)
    server.run(f"CREATE MATERIALIZED VIEW TagChatInferenceView TO odd AS {throws}", database=DATABASE)
    assert was_kept(send(server, "ChatInference", chat("odd"), chat("odd", tool_params="odd")))
    return server


@pytest.fixture
def failing(data: Path) -> Iterator[Server]:
    """The same, stopped at the end."""
    server = with_odd_rows(data)
    yield server
    code, errors = server.stop()
    assert (code, errors.count("cannot be stored, and will be tried again")) == (0, 1)


def test_rows_that_cannot_be_stored_now(failing: Server) -> None:
    """Readers hear of it instead of missing rows, nobody stores beside them; who mends it finds every row once."""
    answer = failing.post("SELECT count() FROM ChatInference", database=DATABASE)
    assert answer.headers["x-clickhouse-exception-code"] == "395"
    assert "Rows that wait to be stored cannot be: " in answer.text
    copied = "INSERT INTO ChatInference SELECT * FROM ChatInference"
    for beside in (
        insertion("ChatInference", chat("odd")),
        insertion("ChatInference", chat("odd"), settings=""),
        copied,
    ):
        assert "no odd ones" in failing.post(beside, database=DATABASE).text
    assert failing.run("SELECT 1") == "1\n"
    failing.run("DROP VIEW TagChatInferenceView", database=DATABASE)
    found = inferences(failing, "odd")
    assert found.pop("TagInference") == 0
    assert found == dict.fromkeys(found, 2)
    assert was_kept(send(failing, "ChatInference", chat("odd")))


def test_a_table_that_is_emptied_meanwhile(failing: Server) -> None:
    """The rows that wait come after it."""
    failing.run("TRUNCATE TABLE ChatInference", database=DATABASE)
    failing.run("DROP VIEW TagChatInferenceView", database=DATABASE)
    assert inferences(failing, "odd", "ChatInference", "InferenceTag") == {"ChatInference": 2, "InferenceTag": 2}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_rows_that_could_not_be_stored_are_stored_by_the_next_process(data: Path, number: int) -> None:
    """They wait over a stop, and over `kill -9` too."""
    before = with_odd_rows(data)
    assert "no odd ones" in before.post("SELECT count() FROM ChatInference", database=DATABASE).text
    assert before.stop(number)[0] in (0, -signal.SIGKILL)
    server = Server(data)
    assert "no odd ones" in server.post("SELECT count() FROM ChatInference", database=DATABASE).text
    server.run("DROP VIEW TagChatInferenceView", database=DATABASE)
    assert inferences(server, "odd", "ChatInference", "InferenceTag") == {"ChatInference": 2, "InferenceTag": 2}
    assert server.stop()[0] == 0


def test_a_stop_waits_for_no_insertion(data: Path, function: str) -> None:
    """While somebody stores rows for a minute, a stop leaves the journal's to the next start."""
    server, patient = Server(data), {"function_sleep_max_microseconds_per_block": "100000000"}
    server.run(
        "CREATE TABLE slow (id UInt8, waited UInt8 DEFAULT sleepEachRow(0.5)) ENGINE = Memory", database=DATABASE
    )
    send(server, "ChatInference", chat(function))
    assert set(inferences(server, function).values()) == {1}
    with ThreadPoolExecutor(1) as pool, httpx.Client(base_url=server.url, timeout=60) as http:
        slow = "INSERT INTO tensorzero.slow (id) FORMAT TSV\n" + "1\n" * 120
        pending = pool.submit(http.post, "/", params=patient, content=slow)
        server.wait_until_running("INSERT INTO tensorzero.slow")
        assert was_kept(send(server, "ChatInference", chat(function)))
        began = time.monotonic()
        assert server.stop()[0] == 0
        assert time.monotonic() - began < 40
        assert pending.exception() is not None or pending.result().status_code in (200, 500)
    with Server(data) as again:
        assert set(inferences(again, function, "ChatInference", "InferenceById").values()) == {2}


def test_insertions_beside_are_not_starved(data: Path, function: str) -> None:
    """While clients put rows and readers read them without a pause, who goes to the engine at once gets there."""
    over = threading.Event()

    def without_pause(url: str, body: str) -> None:
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as http:
            while not over.is_set():
                text = body or insertion("ChatInference", chat(function))
                http.post(f"/?database={DATABASE}", content=text).raise_for_status()

    with Server(data) as server, ThreadPoolExecutor(4) as pool:
        busy = [pool.submit(without_pause, server.url, body) for body in ("", "", "SELECT count() FROM ChatInference")]
        for _ in range(10):  # a client would give up after 60 s
            assert not was_kept(send(server, "ChatInference", chat("beside"), settings=""))
        over.set()
        assert all(one.result() is None for one in busy)
        assert set(inferences(server, "beside").values()) == {10}


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE ChatInference ADD COLUMN odd UInt8 DEFAULT throwIf(function_name != '')",
        "CREATE MATERIALIZED VIEW v TO odd AS SELECT id FROM ChatInference WHERE id IN (SELECT id FROM ChatInference)",
        "CREATE MATERIALIZED VIEW v TO parts AS SELECT id FROM ChatInference",
        "CREATE MATERIALIZED VIEW v ENGINE = Memory AS SELECT id FROM ChatInference",
        "CREATE MATERIALIZED VIEW v TO InferenceById AS SELECT id_uint FROM odd",
        "DROP TABLE InferenceTag SYNC",
    ],
)
def test_tables_that_the_log_could_not_complete(data: Path, function: str, statement: str) -> None:
    """Rows are given to the engine at once if an interrupted insertion of them could not be completed."""
    with Server(data) as server:
        server.run("CREATE TABLE odd (id UUID, id_uint UInt128) ENGINE = MergeTree ORDER BY id", database=DATABASE)
        server.run("CREATE TABLE parts (id UUID) ENGINE = MergeTree ORDER BY id PARTITION BY id", database=DATABASE)
        assert was_kept(send(server, "ChatInference", chat(function)))
        server.run(statement, database=DATABASE)
        answer = send(server, "ChatInference", chat(function))
        assert answer.status_code != 200 or not was_kept(answer)


def test_tables_that_users_have_changed(data: Path, function: str) -> None:
    """A constraint is checked before a row is acknowledged, and a view of the user's has each row once."""
    with Server(data) as server:
        server.run("CREATE TABLE mine (id UUID) ENGINE = MergeTree ORDER BY id", database=DATABASE)
        server.run("CREATE MATERIALIZED VIEW v TO mine AS SELECT id FROM ChatInference", database=DATABASE)
        server.run(f"ALTER TABLE ChatInference ADD CONSTRAINT c CHECK function_name = '{function}'", database=DATABASE)
        assert was_kept(send(server, "ChatInference", chat(function)))
        assert "VIOLATED_CONSTRAINT" in send(server, "ChatInference", chat("other")).text
        assert server.run("SELECT count() FROM mine", database=DATABASE) == "1\n"


def test_tables_by_other_names_and_in_other_places(shared: Server, function: str) -> None:
    """A table that is called as TensorZero's is not hers; a session and a reader's request are asked of the engine."""
    shared.run(f"CREATE DATABASE {function}")
    shared.run("CREATE TABLE ChatInference (id UUID) ENGINE = Memory", database=function)
    sql = insertion("ChatInference", {"id": str(new_episode())})
    assert not was_kept(shared.post(sql, database=function))
    assert not was_kept(shared.post(insertion("ChatInference", chat(function)), database=DATABASE, session_id="s"))
    assert not was_kept(send(shared, f"{DATABASE}.ChatInference", chat(function)))
    assert not was_kept(send(shared, "ChatInference", chat(function), settings="SETTINGS async_insert=0"))
    assert shared.post(insertion("ChatInference", chat(function)), database=DATABASE, readonly="1").status_code != 200
    assert set(inferences(shared, function).values()) == {3}


def test_without_a_place_to_keep_rows(data: Path, function: str) -> None:
    """When nothing can be kept, rows are stored all the same, and the log says once that they wait."""
    server = Server(data)
    journal, away = data / "journal", data / "away"
    journal.rename(away)
    journal.touch()
    for _ in range(2):
        assert not was_kept(send(server, "ChatInference", chat(function)))
    assert set(inferences(server, function).values()) == {2}
    journal.unlink()
    away.rename(journal)
    assert was_kept(send(server, "ChatInference", chat(function)))
    code, errors = server.stop()
    assert (code, errors.count("The write-ahead log cannot be written")) == (0, 1)


@pytest.mark.parametrize(
    "table", ["BooleanMetricFeedback", f"{DATABASE}.BooleanMetricFeedback", "`BooleanMetricFeedback`"]
)
def test_feedback_finds_its_inference(shared: Server, function: str, table: str) -> None:
    """The views of feedback read what inferences leave: they come first, however the table is named."""
    row = chat(function)
    assert was_kept(send(shared, "ChatInference", row))
    answer = send(shared, table, feedback("BooleanMetricFeedback", row["id"]))
    assert was_kept(answer) == (table == "BooleanMetricFeedback")
    about = f"SELECT variant_name FROM BooleanMetricFeedbackByVariant WHERE function_name = '{function}'"
    assert shared.run(about, database=DATABASE) == "v1\n"


@pytest.mark.parametrize(
    "table", ["BooleanMetricFeedback", "FloatMetricFeedback", "CommentFeedback", "DemonstrationFeedback"]
)
def test_identical_insertions_are_all_stored(shared: Server, function: str, table: str) -> None:
    """The same rows sent twice are rows twice, in the log and beside it."""
    row = feedback(table, chat(function)["id"])
    for settings in (ASKED, ASKED, "", ""):
        send(shared, table, row, settings=settings)
    assert shared.run(f"SELECT count() FROM {table} WHERE id = '{row['id']}'", database=DATABASE) == "4\n"
