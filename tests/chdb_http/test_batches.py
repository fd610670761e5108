"""Rows that arrive together are stored together, and nobody notices but the clock."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chdb_http.batches import is_one_small, may_wait
from chdb_http.sql import InsertedRows
from support.clickhouse import Server

ASKED = "SETTINGS async_insert=1, wait_for_async_insert=1"
SLOW = "CREATE MATERIALIZED VIEW slow TO seen AS SELECT id, sleep(0.3) AS waited FROM t"
CLIENTS = 24


@pytest.fixture
def slow_table(server: Server, database: str, table: str) -> str:
    """A table that takes 0.3 s to insert into, since a view of it does."""
    server.run("CREATE TABLE seen (id UInt64, waited UInt8) ENGINE = MergeTree ORDER BY id", database=database)
    server.run(SLOW, database=database)
    return database


def insert(server: Server, database: str, row: Any, settings: str = ASKED) -> httpx.Response:
    return server.post(f"INSERT INTO t {settings} FORMAT JSONEachRow\n{json.dumps(row)}", database=database)


def insertions(server: Server, database: str) -> int:
    """How many blocks the table was given, so far."""
    sql = f"SELECT max(max_block_number) FROM system.parts WHERE database = '{database}' AND table = 't'"
    return int(server.run(sql))


def test_many_rows_few_blocks(server: Server, slow_table: str) -> None:
    """What arrives while others are being stored becomes one block; each client hears of its own row."""
    with ThreadPoolExecutor(CLIENTS) as pool:
        rows = [{"id": number, "name": "é\n" * number} for number in range(CLIENTS)]
        answers = list(pool.map(lambda row: insert(server, slow_table, row), rows))
    assert {answer.status_code for answer in answers} == {200}
    assert sorted(server.run("SELECT id FROM t", database=slow_table).split(), key=int) == [
        str(number) for number in range(CLIENTS)
    ]
    assert server.run("SELECT count() FROM seen", database=slow_table) == f"{CLIENTS}\n"
    assert server.run("SELECT name FROM t WHERE id = 3 FORMAT RawBLOB", database=slow_table) == "é\né\né\n"
    written = [json.loads(answer.headers["x-clickhouse-summary"])["written_rows"] for answer in answers]
    assert set(written) <= {"1", "2"}  # its own row, and alone also that of the view
    assert insertions(server, slow_table) < CLIENTS / 2


def test_who_does_not_ask_is_stored_alone(server: Server, slow_table: str) -> None:
    """Without the setting, every insertion is a block of its own, and counts what its views wrote."""
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda n: insert(server, slow_table, {"id": n, "name": ""}, ""), range(6)))
    assert {json.loads(answer.headers["x-clickhouse-summary"])["written_rows"] for answer in answers} == {"2"}
    assert insertions(server, slow_table) == 6


@pytest.mark.parametrize("wrong", [{"id": "no number"}, {"id": {}}])
def test_a_wrong_row_hurts_nobody_else(server: Server, slow_table: str, wrong: dict[str, Any]) -> None:
    """Among others, a row that the engine refuses is refused to its client alone, in the words it would have had."""
    alone = insert(server, slow_table, wrong)
    rows = [wrong if number % 4 == 0 else {"id": number, "name": "x"} for number in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(lambda row: insert(server, slow_table, row), rows))
    assert [answer.status_code == 200 for answer in answers] == [row is not wrong for row in rows]
    assert {answer.text for answer in answers if answer.status_code != 200} == {alone.text}
    good = sum(row is not wrong for row in rows)
    assert server.run("SELECT count(), uniqExact(id) FROM t", database=slow_table) == f"{good}\t{good}\n"
    assert server.run("SELECT count() FROM seen", database=slow_table) == f"{good}\n"


def test_a_constraint_of_one_is_none_of_the_others(server: Server, slow_table: str) -> None:
    """A row against a constraint is refused alone."""
    server.run("ALTER TABLE t ADD CONSTRAINT small CHECK id < 1000", database=slow_table)
    rows = [{"id": number + 2000 * (number % 5 == 0), "name": "x"} for number in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(lambda row: insert(server, slow_table, row), rows))
    assert [answer.status_code == 200 for answer in answers] == [row["id"] < 1000 for row in rows]
    assert server.run("SELECT count() FROM t", database=slow_table) == f"{sum(r['id'] < 1000 for r in rows)}\n"


def test_different_settings_do_not_mix(server: Server, slow_table: str) -> None:
    """Rows are stored with those of the same statement and the same settings only."""
    with ThreadPoolExecutor(CLIENTS) as pool:

        def one(number: int) -> httpx.Response:
            unknown = "1" if number % 2 else "0"
            sql = f'INSERT INTO t {ASKED} FORMAT JSONEachRow\n{{"id": {number}, "more": 1}}'
            return server.post(sql, database=slow_table, input_format_skip_unknown_fields=unknown)

        answers = list(pool.map(one, range(CLIENTS)))
    assert [answer.status_code == 200 for answer in answers] == [number % 2 == 1 for number in range(CLIENTS)]


@given(st.binary(max_size=40) | st.text(max_size=40).map(lambda text: json.dumps({"a": text}).encode()))
def test_only_one_row_of_json_may_wait(rows: bytes) -> None:
    """What joins others is one object, so that nothing else can come to stand between them."""

    def loaded() -> Any:
        try:
            return json.loads(rows)
        except ValueError:
            return None

    assert is_one_small(InsertedRows(b"INSERT INTO t ", b"", "JSONEachRow", rows)) == isinstance(loaded(), dict)


@pytest.mark.parametrize(
    ("in_statement", "in_request", "format", "may"),
    [
        (ASKED, {}, "JSONEachRow", True),
        ("", {"async_insert": "1"}, "JSONEachRow", True),
        ("", {}, "JSONEachRow", False),
        ("", {"async_insert": "0"}, "JSONEachRow", False),
        (ASKED, {}, "CSV", False),
    ],
)
def test_only_who_asks_may_wait(in_statement: str, in_request: dict[str, str], format: str, may: bool) -> None:
    """Rows are stored with others' where the client asked for `async_insert`."""
    assert may_wait(InsertedRows(b"INSERT INTO t ", in_statement.encode(), format, b"{}"), in_request) == may


def test_large_rows_go_alone() -> None:
    """A row of 100 kB is worth a block of its own."""
    row = json.dumps({"a": "x" * 100_000}).encode()
    assert not is_one_small(InsertedRows(b"INSERT INTO t ", b"", "JSONEachRow", row))
