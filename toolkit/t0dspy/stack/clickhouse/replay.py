"""Stores a segment exactly once, in each table and behind each view, however often that is interrupted."""

import json
import logging
from collections.abc import Callable, Iterable, Sequence

from t0dspy.stack.clickhouse import set_aside, sql
from t0dspy.stack.clickhouse.connection import Connection
from t0dspy.stack.clickhouse.early_tables import EarlyTable
from t0dspy.stack.clickhouse.failure import EngineError
from t0dspy.stack.clickhouse.segment import Batch, Entry, Segment

log = logging.getLogger("t0dspy.clickhouse")

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
"""Errors about a row itself. After any other error the row is stored again: the disk may be full, or memory short."""
_GONE = ("UNKNOWN_TABLE", "UNKNOWN_DATABASE")


def store(segment: Segment, connect: Connect, describe: Describe, order: Sequence[str]) -> None:
    """Store what is not stored yet of `segment`, tables in `order` first. `describe` returns a table as it is now.

    The engine stores a batch as one block in each table, one table after the other, so an interrupted process leaves
    some of the blocks. A block is there or not, and a table's blocks have growing numbers. The segment holds the last
    numbers from before, so a later attempt knows which tables lack their block, and stores it in those alone.

    The engine's own `insert_deduplication_token` cannot be used for this. The engine (chDB 4.4, ClickHouse 26.9) writes
    a token before it renames the part, so a kill or an error in between loses the block. It also goes on when a full
    disk does not take the token, so that the block is stored twice after a restart.

    Insertions that the engine refuses because of their rows are set aside, with a line in the log. Raises EngineError
    if the engine cannot store something now, and OSError if the disk does not take a mark; then call it again.
    """
    connection = connect()
    try:
        for batch in segment.batches(order):
            _store(segment, batch, connection, connect, describe)
    finally:
        connection.close()


def _store(segment: Segment, batch: Batch, connection: Connection, connect: Connect, describe: Describe) -> None:
    if batch.key in segment.done:
        return
    if batch.key not in segment.split:
        try:
            connection.run(f"USE {sql.quoted_name(batch.entry.database)}")
            _store_whole(segment, batch, connection, connect, describe)
        except EngineError as failure:
            if not _is_permanent(failure, batch.entries[0], connection):
                raise
            if len(batch.entries) > 1:
                segment.mark(batch.key)
            else:
                path = set_aside.keep_refused(segment, batch)
                log.error("Rows of %s are refused, and kept in %s: %s", batch.table, path, failure)
    if batch.key in segment.split:
        for single in batch.singly():
            _store(segment, single, connection, connect, describe)
    segment.done.add(batch.key)


def _is_permanent(failure: EngineError, entry: Entry, connection: Connection) -> bool:
    if failure.name in _GONE:  # the engine also says so of a view's target, which can be made again
        return bool(connection.run(_EXISTS, database=entry.database, name=entry.table).bytes() == b"0\n")
    return failure.before_storing and failure.name in _ROW_ERRORS


def _store_whole(segment: Segment, batch: Batch, connection: Connection, connect: Connect, describe: Describe) -> None:
    entry = batch.entry
    table = describe(entry.database, entry.table)
    tables = tuple(table.engines) if table else (entry.table,)  # it was changed after the rows came: views are left out
    now = _read_blocks(connection, entry.database, tables)
    before = segment.begun.get(batch.key)
    if before is None:
        segment.mark(batch.key, now)
        before = now
    lacking = [name for name in tables if now.get(name, -1) <= before.get(name, -1)]
    if len(lacking) == len(tables):
        connection.insert(entry.statement, {})
    elif table and lacking:
        _complete(connect(), table, entry.statement, lacking)


def _complete(connection: Connection, table: EarlyTable, rows: sql.InsertedRows, lacking: Sequence[str]) -> None:
    """Make the block of every table from `rows`, in temporary tables, and attach it to the tables that lack theirs.

    No view sees what is attached. The connection is closed: on it, the names of the tables mean the temporary ones.
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
    names = "[{}]".format(", ".join(map(sql.quoted_text, tables)))
    answer = connection.run(_BLOCKS, "JSONCompactEachRow", database=database, tables=names)
    return {table: int(last) for table, last in map(json.loads, answer.bytes().splitlines())}
