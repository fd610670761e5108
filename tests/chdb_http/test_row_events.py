"""Whoever listens hears of rows that are stored, and whether they went where others did."""

import asyncio
import json
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chdb_http.row_events import CONTENT_TYPE, NOTHING, PATH, RowEvents, _named
from chdb_http.sql import InsertedRows
from support.clickhouse import Server

ASKED = "SETTINGS async_insert=1, wait_for_async_insert=1"


class Heard:
    """What the server said, in order."""

    def __init__(self, answer: httpx.Response) -> None:
        self._lines = answer.iter_lines()
        assert next(self._lines) == "{}"

    def next(self) -> Any:
        return json.loads(next(self._lines))

    def rows(self, count: int) -> list[tuple[str, str]]:
        """The next `count` rows, whatever else is said between."""
        found: list[tuple[str, str]] = []
        while len(found) < count:
            said = self.next()
            if "id" in said:
                assert said["sure"]
                found.append((said["table"], said["id"]))
        return found

    def ends(self) -> bool:
        return all(line == "{}" for line in self._lines)


@contextmanager
def listening(server: Server, database: str, **options: Any) -> Iterator[Heard]:
    with (
        httpx.Client(base_url=server.url, timeout=20, trust_env=False) as http,
        http.stream("GET", PATH, params={"database": database}, **options) as answer,
    ):
        assert (answer.status_code, answer.headers["content-type"]) == (200, CONTENT_TYPE)
        yield Heard(answer)


@pytest.fixture
def texts(server: Server, database: str) -> str:
    """A database with a table `t` whose ids are texts."""
    server.run("CREATE TABLE t (id String, n UInt8) ENGINE = MergeTree ORDER BY id", database=database)
    return database


def insert(server: Server, database: str, *rows: object, settings: str = ASKED) -> httpx.Response:
    lines = "\n".join(json.dumps(row) for row in rows)
    return server.post(f"INSERT INTO t\n{settings}\nFORMAT JSONEachRow\n{lines}", database=database)


def test_a_stored_row_is_told(server: Server, texts: str) -> None:
    """Rows stored alone and in a batch, one by one and in order of nothing but their storing."""
    with listening(server, texts) as heard:
        assert insert(server, texts, {"id": "alone"}, settings="").status_code == 200
        assert heard.next() == {"table": "t", "id": "alone", "sure": True}
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda n: insert(server, texts, {"id": f"row-{n}"}), range(64)))
        assert sorted(heard.rows(64)) == sorted(("t", f"row-{n}") for n in range(64))


def test_what_is_not_stored_is_not_told(server: Server, texts: str) -> None:
    """Refused rows, rows of other databases, and rows that say no id at their beginning."""
    server.run("CREATE DATABASE IF NOT EXISTS elsewhere")
    server.run("CREATE TABLE IF NOT EXISTS elsewhere.t (id String) ENGINE = MergeTree ORDER BY id")
    with listening(server, texts) as heard:
        assert insert(server, texts, {"id": "refused", "n": "no number"}).status_code == 400
        assert insert(server, "elsewhere", {"id": "elsewhere"}).status_code == 200
        assert insert(server, texts, {"n": 1, "id": "late"}).status_code == 200
        assert server.post("INSERT INTO t FORMAT CSV\nother,1\n", database=texts).status_code == 200
        assert insert(server, texts, {"id": "told"}).status_code == 200
        assert heard.next() == {"table": "t", "id": "told", "sure": True}
    server.run("DROP DATABASE elsewhere")


def test_a_statement_that_may_change_tables_is_told(server: Server, texts: str) -> None:
    """Before it and after it; a query that only reads is none."""
    with listening(server, texts) as heard:
        server.run("SELECT 1", database=texts)
        server.run("CREATE TABLE more (id String) ENGINE = MergeTree ORDER BY id", database=texts)
        assert [heard.next(), heard.next()] == [{"changed": True}] * 2
        assert server.post("DROP TABLE no_such_table", database=texts).status_code == 404
        assert [heard.next(), heard.next()] == [{"changed": True}] * 2
        insert(server, texts, {"id": "told"})
        assert heard.next() == {"table": "t", "id": "told", "sure": True}


def test_rows_stored_while_tables_change_are_not_sure(server: Server, texts: str) -> None:
    """A row whose insertion began before such a statement ended, or ended after it began: which views did it meet?"""
    server.run("CREATE TABLE seen (id String, waited UInt8) ENGINE = MergeTree ORDER BY id", database=texts)
    server.run("CREATE MATERIALIZED VIEW slow TO seen AS SELECT id, sleep(0.5) AS waited FROM t", database=texts)
    with listening(server, texts) as heard, ThreadPoolExecutor(1) as pool:
        slow = pool.submit(insert, server, texts, {"id": "around"})
        time.sleep(0.2)
        server.run("CREATE TABLE more (id String) ENGINE = MergeTree ORDER BY id", database=texts)
        assert slow.result().status_code == 200
        assert [heard.next() for _ in range(3)][2] == {"table": "t", "id": "around", "sure": False}
        server.run("DROP TABLE slow SYNC", database=texts)
        assert [heard.next() for _ in range(2)] == [{"changed": True}] * 2
        change = pool.submit(server.run, "INSERT INTO more SELECT toString(sleep(1.5))", database=texts)
        assert heard.next() == {"changed": True}
        insert(server, texts, {"id": "within"})
        assert heard.next() == {"table": "t", "id": "within", "sure": False}
        change.result()
        insert(server, texts, {"id": "after"})
        assert heard.rows(1) == [("t", "after")]
    assert server.run("SELECT count() FROM t", database=texts) == "3\n"


@pytest.mark.parametrize(
    "parameters",
    [
        {"materialized_views_ignore_errors": 1},
        {"input_format_allow_errors_num": 5},
        {"additional_result_filter": "0"},
        {"session_id": "of-its-own"},
    ],
    ids=lambda one: next(iter(one)),
)
def test_rows_are_not_sure_where_a_client_has_a_say(server: Server, texts: str, parameters: dict[str, Any]) -> None:
    """Settings may keep a row from its table or from its views; a session may have a table of the name itself."""
    with listening(server, texts) as heard:
        sql = 'INSERT INTO t\n{} FORMAT JSONEachRow\n{{"id": "said"}}'
        assert server.post(sql.format(ASKED), database=texts, **parameters).status_code == 200
        assert heard.next() == {"table": "t", "id": "said", "sure": False}
        if "session_id" not in parameters:
            said = ", ".join(f"{name} = '{value}'" for name, value in parameters.items())
            assert server.post(sql.format(f"SETTINGS {said}"), database=texts).status_code == 200
            assert heard.next() == {"table": "t", "id": "said", "sure": False}
        usual = {"async_insert": 1, "wait_for_async_insert": 1, "input_format_skip_unknown_fields": 1}
        assert server.post(sql.format(""), database=texts, **usual).status_code == 200
        assert heard.rows(1) == [("t", "said")]


def test_a_table_of_the_request_is_not_the_table(server: Server, texts: str) -> None:
    """Rows that go into a table which the request itself brings are no rows of the one by that name."""
    sql = 'INSERT INTO t FORMAT JSONEachRow\n{"id": "said"}'
    brought = {"t": ("t", b"", "text/plain")}
    with listening(server, texts) as heard:
        params = {"query": sql, "t_structure": "id String", "database": texts}
        assert server.http.post("/", params=params, files=brought).status_code == 200
        assert heard.next() == {"table": "t", "id": "said", "sure": False}
    assert server.run("SELECT count() FROM t", database=texts) == "0\n"


def test_who_asks_only_whether_it_is_there(server: Server) -> None:
    """HEAD has no body to wait for."""
    for _ in range(2):
        assert server.http.head(PATH, timeout=5).headers["content-type"] == CONTENT_TYPE


def test_several_listeners_come_and_go(server: Server, texts: str) -> None:
    """Each hears everything, and one that leaves takes nothing along."""
    with listening(server, texts) as first:
        with listening(server, texts) as second:
            insert(server, texts, {"id": "a"})
            assert first.rows(1) == second.rows(1) == [("t", "a")]
        insert(server, texts, {"id": "b"})
        assert first.rows(1) == [("t", "b")]


def test_who_does_not_read_is_let_go_of() -> None:
    """A listener that leaves thousands of lines unread hears the end, and the server keeps no more of them."""

    async def unread(count: int) -> list[bytes]:
        events = RowEvents()
        told = events.lines("d")
        assert await anext(told) == NOTHING
        for number in range(count):
            events.inserted("d", _row({"id": str(number)}), since=events.generation)
        events.inserted("other", _row({"id": "other"}), since=events.generation)
        first = await anext(told, b"")
        if not first:
            assert not events._listeners
        await told.aclose()
        return first.splitlines()

    assert len(asyncio.run(unread(10_000))) == 10_000
    assert asyncio.run(unread(10_001)) == []


def test_the_server_stops_at_once(tmp_path: Path) -> None:
    """Listeners are no requests that a stop waits for; they hear the end."""
    with Server(tmp_path / "data") as server, listening(server, "default") as heard:
        ended = threading.Thread(target=server.stop)
        started = time.monotonic()
        ended.start()
        assert heard.ends()
        ended.join()
        assert time.monotonic() - started < 10
        assert server.process.returncode == 0


def test_news_are_for_users_only(tmp_path: Path) -> None:
    """As for every other request: a password where there is one, and no web pages."""
    with Server(tmp_path / "data", user="ada", password_env="PASSWORD", environment={"PASSWORD": "s3cret"}) as server:
        assert server.http.get(PATH).status_code == 401
        assert server.http.get(PATH, auth=("ada", "wrong")).status_code == 403
        assert server.http.get(PATH, auth=("ada", "s3cret"), headers={"origin": "http://evil"}).status_code == 403
        with listening(server, "default", auth=("ada", "s3cret")):
            pass
        assert server.stop(signal.SIGTERM) == (0, "")


@given(
    st.dictionaries(st.text(), st.integers() | st.text()),
    st.text(alphabet="0123456789abcdef-", min_size=1, max_size=64),
)
def test_the_first_key_names_the_row(rest: dict[str, Any], id: str) -> None:
    """A row is told of by an id that it begins with, and by nothing further back."""
    rest.pop("id", None)
    begins, ends = {"id": id, **rest}, {**rest, "id": id}
    assert _named(_row(begins), {}) == {"table": "t", "id": id}
    assert rest == {} or _named(_row(ends), {}) is None
    assert _named(_row({"id": "x", "other": id, **rest}), {"t": "other"}) == {"table": "t", "id": id}
    assert _named(_row(begins), {"t": "other"}) is None or "other" in rest


def _row(row: dict[str, Any]) -> InsertedRows:
    return InsertedRows(b"INSERT INTO t\n", b"", "JSONEachRow", json.dumps(row).encode())
