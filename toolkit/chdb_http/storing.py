"""Stores a segment's rows exactly once, in their table and behind each of its views, however often it is cut off."""

import json
import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from chdb_http import columns, sources, sql
from chdb_http.connection import Connection, Setup
from chdb_http.failure import EngineError
from chdb_http.segment import Batch, Segment
from chdb_http.sources import Source, View

log = logging.getLogger("chdb_http")

Read = Callable[[Connection, str, str], Source | None]

_BLOCKS = (
    "SELECT table, max(max_block_number) FROM system.parts "
    "WHERE active AND database = {database:String} AND table IN ({tables:Array(String)}) GROUP BY table"
)
_STAGE = "t0dspy_unfinished_insertion"
_GONE = ("UNKNOWN_TABLE", "UNKNOWN_DATABASE")


def store(segment: Segment, connection: Connection, read: Read) -> None:
    """Store what is not stored yet of `segment`; `read` says what the tables are like.

    The engine stores a small insertion as one block in the table and one behind each view, and one after the other: a
    process that dies in between leaves some of them. A table's blocks have growing numbers, so the last ones from
    before, which the segment keeps, tell which tables have theirs; the others are given it one by one.

    Rows that the engine will never take are set aside in a file next to the segment's, and the log says so.

    Raises:
        EngineError: the engine cannot store them now; then call it again, for the same segment.
        OSError: the disk does not take the segment's marks.
    """
    for batch in segment.batches():
        _store(segment, batch, connection, read)


def _store(segment: Segment, batch: Batch, connection: Connection, read: Read) -> None:
    if batch.key in segment.marks.stored:
        return
    if batch.key not in segment.marks.split:
        try:
            _store_whole(segment, batch, connection, read)
        except EngineError as failure:
            if failure.before_storing and len(columns.lines(batch.rows)) > 1:
                segment.mark(batch.key, split=True)
            elif failure.before_storing or failure.name in _GONE:
                _set_aside(segment.path.with_suffix(f".{time.time_ns()}.refused"), batch, failure)
            else:
                raise
    if batch.key in segment.marks.split:
        for one in batch.singly():
            _store(segment, one, connection, read)
    segment.mark(batch.key)


def _store_whole(segment: Segment, batch: Batch, connection: Connection, read: Read) -> None:
    connection.adopt(Setup(batch.database))
    source = read(connection, batch.database, batch.table)
    tables = source.tables if source else (batch.table,)  # it has been changed since its rows came: views are left out
    before, now = segment.marks.blocks.get(batch.key), _blocks(connection, batch.database, tables)
    if before is None:
        segment.mark(batch.key, now)
    lacking = [name for name in tables if _lacks(name, now if before is None else before, now)]
    if len(lacking) == len(tables):
        _insert(connection, batch.table, batch.rows)
    elif source:
        _complete(connection, source, batch.rows, lacking)


def _complete(connection: Connection, source: Source, rows: bytes, lacking: list[str]) -> None:
    """Store `rows` in those of the source's tables that do not have them."""
    connection.run(f"DROP TABLE IF EXISTS {_STAGE} SYNC")
    if source.name in lacking:
        _attach(connection, source, rows)
    for view in source.views:
        if view.target in lacking:
            ids = [row["id"] for row in columns.objects(rows)]
            connection.run(_of_rows(source, view, sources.columns_of(connection, view, source.database), ids))


def _attach(connection: Connection, source: Source, rows: bytes) -> None:
    """Store `rows` in the table and not behind its views, which do not see what is attached."""
    name = sql.quoted_name(source.name)
    connection.run(f"CREATE TABLE {_STAGE} AS {name}")
    _insert(connection, _STAGE, rows)
    connection.run(f"ALTER TABLE {name} ATTACH PARTITION tuple() FROM {_STAGE}")
    connection.run(f"DROP TABLE {_STAGE} SYNC")


def _of_rows(source: Source, view: View, made: Iterable[str], ids: Iterable[str]) -> str:
    """The statement that stores behind `view` what it makes of the rows with `ids`."""
    table = sql.quoted_text(f"{source.database}.{source.name}")
    only = sql.quoted_text("id IN ({})".format(", ".join(map(sql.quoted_text, ids))))
    into = "{} ({})".format(sql.quoted_name(view.target), ", ".join(map(sql.quoted_name, made)))
    return f"INSERT INTO {into} {view.query} SETTINGS additional_table_filters = {{{table}: {only}}}"


def _insert(connection: Connection, table: str, rows: bytes) -> None:
    head = f"INSERT INTO {sql.quoted_name(table)}\n".encode()
    connection.insert(sql.InsertedRows(head, b"", "JSONEachRow", rows), {})


def _blocks(connection: Connection, database: str, tables: Iterable[str]) -> dict[str, int]:
    names = "[{}]".format(", ".join(map(sql.quoted_text, tables)))
    answer = connection.run(_BLOCKS, "JSONCompactEachRow", database=database, tables=names)
    return {table: int(last) for table, last in map(json.loads, answer.bytes().splitlines())}


def _lacks(table: str, before: dict[str, int], now: dict[str, int]) -> bool:
    return now.get(table, -1) <= before.get(table, -1)


def _set_aside(path: Path, batch: Batch, failure: EngineError) -> None:
    path.write_bytes(batch.rows + b"\n")
    log.error("Rows of %s.%s cannot be stored, and are kept in %s: %s", batch.database, batch.table, path, failure)
