"""Rows are acknowledged early if the engine would store them, and they are stored as it would store them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chdb_http.segment import MOST
from support.clickhouse import Server
from support.tensorzero_rows import (
    ASKED,
    DATABASE,
    ROWS,
    calls,
    chat,
    inferences,
    insertion,
    model,
    send,
    was_kept,
)


@pytest.mark.parametrize(
    "changed",
    [
        {"id": "no-uuid"},
        {"episode_id": 7},
        {"more": 1},
        {"function_name": None},
        {"processing_time_ms": "soon"},
        {"tags": 5},
    ],
    ids=str,
)
def test_rows_that_the_engine_refuses_are_refused(shared: Server, function: str, changed: dict[str, Any]) -> None:
    """Who sends nonsense hears of it at once, in the words that an insertion without a journal gets."""
    answers = [send(shared, "ChatInference", chat(function, **changed), settings=asked) for asked in (ASKED, "")]
    codes = [answer.headers["x-clickhouse-exception-code"] for answer in answers]
    assert codes[0] == codes[1]
    assert answers[0].status_code == answers[1].status_code != 200
    assert set(inferences(shared, function).values()) == {0}


@pytest.mark.parametrize(
    "changed",
    [
        {"processing_time_ms": "-0"},
        {"output": "x" * (1 << 22)},
        {"timestamp": "2026-01-01 00:00:00"},
    ],
    ids=str,
)
def test_what_is_not_logged_the_engine_decides(shared: Server, function: str, changed: dict[str, Any]) -> None:
    """A row that is too large, or that the engine refuses, is given to it at once."""
    answer = send(shared, "ChatInference", chat(function, **changed))
    assert answer.status_code != 200 or not was_kept(answer)


_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=8,
)
_rows = st.fixed_dictionaries(
    {},
    optional={
        "variant_name": _texts,
        "input": _texts | st.lists(_json, max_size=3) | st.dictionaries(_texts, _json, max_size=3),
        "tags": st.dictionaries(_texts, _texts, max_size=3),
        "dynamic_tools": st.lists(_texts, max_size=3),
        "extra_body": st.none() | _texts | st.lists(_json, max_size=2),
        "processing_time_ms": st.none() | st.integers(-1, (1 << 32) + 1),
        "snapshot_hash": st.none() | st.integers(0, 1 << 256).map(str),
        "parallel_tool_calls": st.none() | st.booleans(),
    },
)
_calls = st.fixed_dictionaries(
    {},
    optional={
        "cost": st.none() | st.decimals(-(10**8), 10**8, places=9).map(str),
        "finish_reason": st.none() | st.sampled_from(["stop", "length", "tool_call", "unknown", "other"]),
        "cached": st.booleans(),
        "system": st.none() | _texts,
    },
)


def test_kept_rows_are_stored_as_others_are(shared: Server) -> None:
    """Every value of a row that was acknowledged early is what an ordinary insertion makes of it."""
    compared: list[str] = []

    @settings(max_examples=150, deadline=None)
    @given(
        changed=st.tuples(st.just("ChatInference"), _rows) | st.tuples(st.just("ModelInference"), _calls),
        ascii=st.booleans(),
    )
    def compare(changed: tuple[str, dict[str, Any]], ascii: bool) -> None:
        compared.extend(_compared(shared, *changed, ascii))

    compare()
    assert all(compared.count(table) >= 5 for table in ROWS), compared


def _compared(shared: Server, table: str, values: dict[str, Any], ascii: bool) -> list[str]:
    """Insert a row in both ways and compare; return the table, or nothing if the engine was asked at once."""
    rows = [ROWS[table]("same", **values) for _ in range(2)]
    for row, asked in zip(rows, ("SETTINGS async_insert=1", ""), strict=True):
        row.update(episode_id=rows[0]["id"]) if table == "ChatInference" else row.update(inference_id=rows[0]["id"])
        sql = f"INSERT INTO {table} {asked} FORMAT JSONEachRow\n" + json.dumps(row, ensure_ascii=ascii)
        answer = shared.post(sql.encode(), database=DATABASE)
        if answer.status_code != 200 or not (was_kept(answer) or row is rows[1]):
            return []
    ids = "', '".join(row["id"] for row in rows)
    stored = f"SELECT count(), uniqExact(toString(tuple(* EXCEPT (id, timestamp)))) FROM {table} WHERE id IN ('{ids}')"
    assert shared.run(stored, database=DATABASE) == "2\t1\n"
    return [table]


@pytest.mark.parametrize(
    "changed", [lambda sql: sql.replace('": 7,', '": -0,').encode(), lambda sql: sql.partition("{")[0].encode()
                + ("{" + sql.partition("{")[2]).encode("utf-16")], ids=["-0", "utf-16"]
)  # fmt: skip
def test_json_that_others_read_otherwise(shared: Server, function: str, changed: Callable[[str], bytes]) -> None:
    """What Python takes for JSON and the engine does not is refused, or stored by the engine at once."""
    answer = shared.post(changed(insertion("ChatInference", chat(function))), database=DATABASE)
    assert answer.status_code != 200 or not was_kept(answer)
    assert shared.run("SELECT 1") == "1\n"


@pytest.mark.parametrize("asked", ["garbage", "async_insert=1,", "async_insert='x'", "`readonly`=1", "no_such_thing=1"])
def test_settings_that_the_engine_refuses(shared: Server, function: str, asked: str) -> None:
    """A statement that is none is refused, whatever else it asks for."""
    statement = insertion("ChatInference", chat(function), settings=f"SETTINGS async_insert=1, {asked}")
    assert shared.post(statement, database=DATABASE).status_code != 200
    assert set(inferences(shared, function).values()) == {0}


@pytest.mark.parametrize("text", ["\U0001f600", "\\ud83d", "\ud83d\ude00"])
def test_characters_beyond_the_first_plane(shared: Server, function: str, text: str) -> None:
    """Emojis, and what looks like half of one, are text like any other."""
    assert was_kept(send(shared, "ChatInference", chat(function, tool_params=text)))
    stored = shared.run(f"SELECT tool_params FROM ChatInference WHERE function_name = '{function}' FORMAT JSONEachRow",
                        database=DATABASE)  # fmt: skip
    assert json.loads(stored)["tool_params"] == text.encode("utf-16", "surrogatepass").decode("utf-16")


def test_more_rows_than_a_statement_can_name(shared: Server, function: str) -> None:
    """Thousands of rows at once go to the engine at once, so that a batch of the log stays one block."""
    assert not was_kept(send(shared, "ModelInference", *(model(function) for _ in range(MOST + 1))))
    assert set(calls(shared, function).values()) == {MOST + 1}


_COLUMNS = {
    "plain UInt8": '{"id": 1, "plain": 300}',
    "d String DEFAULT upper(name)": '{"id": 1, "name": "a"}',
    "m UInt64 MATERIALIZED id * 2": '{"id": 1, "m": 2}',
    "a UInt64 ALIAS id + 1": '{"id": 1, "a": 2}',
    "e String EPHEMERAL, f String DEFAULT upper(e)": '{"id": 1, "e": "x"}',
    "g UInt8 DEFAULT throwIf(id = 7)": '{"id": 7}',
    "c UInt8, CONSTRAINT small CHECK id < 100": '{"id": 100}',
}


@pytest.mark.parametrize("columns", _COLUMNS)
def test_the_check_and_the_table_agree(tmp_path: Path, columns: str) -> None:
    """For every kind of column, a row is acknowledged early if and only if the table would take it."""
    with Server(tmp_path / "data", early_tables={"early": "id"}) as server:
        for table in ("early", "plain"):
            server.run(f"CREATE TABLE {table} (id UInt64, name String, {columns}) ENGINE = MergeTree ORDER BY id")
        good, odd = '{"id": 1, "name": "b"}', _COLUMNS[columns]
        for row in (good, odd):
            sql = f"{ASKED}, input_format_skip_unknown_fields=0 FORMAT JSONEachRow\n{row}"
            early, plain = server.post(f"INSERT INTO early {sql}"), server.post(f"INSERT INTO plain {sql}")
            assert early.status_code == plain.status_code, early.text
            assert early.status_code != 200 or was_kept(early)
        query = "SELECT * FROM {} ORDER BY ALL FORMAT JSONEachRow"
        assert server.run(query.format("early")) == server.run(query.format("plain"))
