"""Store a segment exactly once, in each table and behind each view, even if the process is interrupted."""

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from chdb_http import set_aside, sql
from chdb_http.connection import Connection
from chdb_http.early_tables import EarlyTable
from chdb_http.engine_error import EngineError
from chdb_http.part_checker import PartChecker
from chdb_http.segment import Batch, Entry, Segment

log = logging.getLogger("chdb_http")

Connect = Callable[[], Connection]
Describe = Callable[[str, str], EarlyTable | None]

_BLOCKS = (
    "SELECT table, max(max_block_number) FROM system.parts "
    "WHERE active AND database = {database:String} AND table IN ({tables:Array(String)}) GROUP BY table"
)
_COLUMNS = (
    "SELECT name FROM system.columns WHERE database = {database:String} AND table = {name:String} ORDER BY position"
)
_EXISTS = "SELECT count() FROM system.tables WHERE database = {database:String} AND name = {name:String}"
_ROW_ERRORS = frozenset(
    """CANNOT_PARSE_TEXT CANNOT_PARSE_ESCAPE_SEQUENCE CANNOT_PARSE_QUOTED_STRING CANNOT_PARSE_INPUT_ASSERTION_FAILED
    CANNOT_PARSE_DATE CANNOT_PARSE_DATETIME CANNOT_PARSE_NUMBER CANNOT_PARSE_UUID CANNOT_PARSE_BOOL CANNOT_PARSE_IPV4
    CANNOT_PARSE_IPV6 CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING CANNOT_READ_ARRAY_FROM_TEXT CANNOT_READ_MAP_FROM_TEXT
    CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN CANNOT_CONVERT_TYPE TYPE_MISMATCH INCORRECT_DATA UNKNOWN_IDENTIFIER
    NO_SUCH_COLUMN_IN_TABLE UNKNOWN_ELEMENT_OF_ENUM VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE ARGUMENT_OUT_OF_BOUND
    DECIMAL_OVERFLOW VIOLATED_CONSTRAINT""".split()  # noqa: SIM905 - a list of names is easier to read this way
)
"""Errors about a row itself. After any other error, such as a full disk, the row is stored again later."""
_GONE = ("UNKNOWN_TABLE", "UNKNOWN_DATABASE")


def store(segment: Segment, connect: Connect, describe: Describe, order: Sequence[str], checker: PartChecker) -> None:
    """Store what is not stored yet of `segment`.

    The engine stores a batch as one block in each table, one table after the other, so an interrupted process leaves
    some of the blocks. A table has all rows of a block or none, and its block numbers grow. The segment holds the last
    numbers from before, so a later attempt finds the tables that lack their block, and stores it in those alone.

    Insertions that the engine refuses because of their rows are set aside, with a line in the log.

    Args:
        segment: the rows, and marks of earlier attempts.
        connect: opens a connection to the engine.
        describe: returns a table as it is now.
        order: the tables that are stored first, in this order.
        checker: finds parts that a full disk has truncated.

    Raises:
        EngineError: the engine cannot store something now; call this again.
        OSError: the disk does not take a mark; call this again.
    """
    # Workaround (chdb 4.4): the engine writes `insert_deduplication_token` before it renames the part, so a kill in
    # between loses the block, and it continues if a full disk does not take the token, so the block is stored twice;
    # remove when a repeated insert with the same token stores exactly what is missing.
    connection = connect()
    try:
        for batch in segment.batches(order):
            _store(segment, batch, _Engine(connection, connect, describe, checker))
    finally:
        connection.close()


@dataclass(frozen=True)
class _Engine:
    connection: Connection
    connect: Connect
    describe: Describe
    checker: PartChecker


def _store(segment: Segment, batch: Batch, engine: _Engine) -> None:
    if batch.key in segment.done:
        return
    if batch.key not in segment.split:
        try:
            engine.connection.run(f"USE {sql.quoted_name(batch.entry.database)}")
            _store_whole(segment, batch, engine)
        except EngineError as failure:
            if not _is_permanent(failure, batch.entries[0], engine.connection):
                raise
            if len(batch.entries) > 1:
                segment.mark(batch.key)
            else:
                path = set_aside.keep_refused(segment, batch)
                log.error("Rows of %s are refused, and kept in %s: %s", batch.table, path, failure)
    if batch.key in segment.split:
        for single in batch.singly():
            _store(segment, single, engine)
    segment.done.add(batch.key)


def _is_permanent(failure: EngineError, entry: Entry, connection: Connection) -> bool:
    if failure.name in _GONE:  # the error may be about the target of a view, which can be created again
        return bool(connection.run(_EXISTS, database=entry.database, name=entry.table).bytes() == b"0\n")
    return failure.before_storing and failure.name in _ROW_ERRORS


def _store_whole(segment: Segment, batch: Batch, engine: _Engine) -> None:
    entry = batch.entry
    table = engine.describe(entry.database, entry.table)
    tables = tuple(table.engines) if table else (entry.table,)  # after a change, its views are left out
    if batch.key in segment.begun:
        lacking = _find_lacking(segment, batch, engine, tables)
    else:
        segment.mark(batch.key, _read_blocks(engine.connection, entry.database, tables))
        lacking = tables
    if len(lacking) == len(tables):
        engine.connection.insert(entry.statement, {})
    elif table and lacking:
        _complete(engine.connect(), table, entry.statement, lacking)
    if lacking and engine.checker.is_needed():
        broken = engine.checker.reload_broken(engine.connection, entry.database, tables, segment.begun[batch.key])
        still = _find_lacking(segment, batch, engine, tables) if broken else ()
        if again := [name for name in still if name in broken]:  # others lack a block if no row of the batch is theirs
            raise EngineError("NOT_ENOUGH_SPACE", f"The disk is full: parts of {', '.join(again)} are truncated.", 243)


def _find_lacking(segment: Segment, batch: Batch, engine: _Engine, tables: Sequence[str]) -> Sequence[str]:
    """Return those of `tables` without a whole block of the batch, which an earlier attempt may have stored."""
    before, database = segment.begun[batch.key], batch.entry.database
    engine.checker.reload_broken(engine.connection, database, tables, before)
    now = _read_blocks(engine.connection, database, tables)
    lower = {name: min(last, now.get(name, -1)) if name in tables else last for name, last in before.items()}
    if lower != before:  # the engine uses the numbers of detached blocks again
        segment.mark(batch.key, lower)
    return [name for name in tables if now.get(name, -1) <= before.get(name, -1)]


def _complete(connection: Connection, table: EarlyTable, rows: sql.InsertedRows, lacking: Sequence[str]) -> None:
    """Store the block of every table in temporary tables, and attach it to the tables in `lacking`.

    An attached block does not pass through views. The connection is closed at the end, because the names of the tables
    mean the temporary tables on it.
    """
    try:
        table.make_temporary(connection)
        connection.insert(rows, {})
        for view in table.views:
            answer = connection.run(_COLUMNS, "JSONCompactEachRow", database=table.database, name=view.name)
            columns = ", ".join(sql.quoted_name(*json.loads(line)) for line in answer.bytes().splitlines())
            connection.run(f"INSERT INTO {view.target} ({columns}) {view.unqualified_query}")
        for name in lacking:
            connection.run(f"ALTER TABLE {sql.quoted_name(table.database)}.{name} ATTACH PARTITION tuple() FROM {name}")
    finally:
        connection.close()


def _read_blocks(connection: Connection, database: str, tables: Iterable[str]) -> dict[str, int]:
    answer = connection.run(_BLOCKS, "JSONCompactEachRow", database=database, tables=sql.quoted_texts(tables))
    return {table: int(last) for table, last in map(json.loads, answer.bytes().splitlines())}
