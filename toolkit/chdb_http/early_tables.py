"""Tables whose rows are acknowledged early: the tables that an insertion writes to, and the check of rows."""

import json
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from chdb_http import plain_rows, sql
from chdb_http.connection import Connection, Setup
from chdb_http.query import Counts
from chdb_http.segment import Entry

_TABLES = (
    "SELECT name, engine, engine_full, partition_key, dependencies_database, dependencies_table, create_table_query, "
    "as_select FROM system.tables WHERE database = {database:String}"
)
_AT_ONCE = (("async_insert", "0"), ("input_format_parallel_parsing", "0"), ("max_threads", "1"))
"""Settings with which the engine checks a few rows fast, and before it answers."""
_TARGET = re.compile(r"CREATE MATERIALIZED VIEW (\w+)\.\S+ TO \1\.(\w+) ")
_ENGINE = re.compile(r"(?!Replicated|Shared)\w*MergeTree")


@dataclass(frozen=True)
class View:
    """A materialized view, which writes the result of its query on new rows of `source` to `target`."""

    name: str
    source: str
    target: str
    query: str

    @property
    def unqualified_query(self) -> str:
        """The query without its source's database, so that it reads a temporary table of that name."""
        return _mention(self.source).sub(r"\1", self.query)


@dataclass(frozen=True)
class EarlyTable:
    """A table and all views below it, each after the view that it reads from."""

    database: str
    name: str
    views: tuple[View, ...]
    engines: Mapping[str, str]
    """All tables that an insertion writes to, with their engines as ClickHouse declares them."""

    def make_temporary(self, connection: Connection) -> None:
        """Create a temporary, empty copy of each table. From now on, the names mean the copies on this connection."""
        for name, engine in self.engines.items():
            _make_temporary(connection, self.database, name, engine)


class Checker:
    """Checks rows by inserting them into a temporary table with the same columns that stores nothing."""

    # Workaround (chdb 4.4): on a full disk the engine may keep the name of a new table without its definition, and then
    # it does not start any more, so the table is temporary; remove when a failed CREATE TABLE leaves nothing.

    def __init__(self, connection: Connection, database: str, name: str) -> None:
        """Create the temporary table on `connection`, which the checker closes."""
        self._connection, self._lock = connection, threading.Lock()
        connection.adopt(Setup(None, _AT_ONCE))
        self._plain = plain_rows.read_columns(connection, database, name)
        _make_temporary(connection, database, name, "Null")

    def check(self, entry: Entry) -> Counts:
        """Return the counts for an insertion. Raises EngineError if the engine would refuse it."""
        number = self._plain.count(entry.rows) if self._plain else 0
        return Counts.before_storing(number or self._ask(entry), len(entry.rows))

    def _ask(self, entry: Entry) -> int:
        statement, row = entry.statement, entry.rows.strip()
        with self._lock:
            if b"\n" in row:  # the engine would end the rows at an empty line, and run what follows
                return int(self._connection.insert(statement, {}).rows_written())
            return int(self._connection.run(statement.statement + b"FORMAT JSONEachRow " + row).rows_written())

    def close(self) -> None:
        """Close the connection. The checker raises EngineError after that."""
        with self._lock:
            self._connection.close()


def describe(connection: Connection, database: str, name: str, names: Iterable[str]) -> EarlyTable | None:
    """Return the table `name`, or None if its rows cannot be acknowledged early.

    They can be if every table that an insertion writes to is a MergeTree table without partitions, so that a table has
    all rows of a batch or none. In addition, only insertions into the tables `names` may write there, so that the
    insertion that wrote a new block is known. Raises EngineError if the engine cannot answer.
    """
    answer = connection.run(_TABLES, "JSONCompactEachRow", database=database)
    tables = {table.name: table for table in (_Table(*json.loads(line)) for line in answer.bytes().splitlines())}
    written, views = _below(tables, name)
    known = {view.name for early in names if early in tables for view in _below(tables, early)[1]}
    foreign = any(table.target in written and table.name not in known for table in tables.values())
    plain = all(table in tables and tables[table].is_plain(database) for table in written)
    readable = all(len(_mention(view.source).findall(view.query)) == 1 for view in views)
    if foreign or not plain or not readable or len(set(written)) < len(written):
        return None
    return EarlyTable(database, name, tuple(views), {table: tables[table].engine_full for table in written})


@dataclass(frozen=True)
class _Table:
    name: str
    engine: str
    engine_full: str
    partition_key: str
    databases: list[str]
    dependents: list[str]
    statement: str
    query: str

    @property
    def target(self) -> str:
        """The table of its database that a view writes to; nothing for a table."""
        named = _TARGET.match(self.statement)
        return named[2] if named else ""

    def is_plain(self, database: str) -> bool:
        kind = _ENGINE.fullmatch(self.engine) and re.fullmatch(r"\w+", f"{database}{self.name}", re.ASCII)
        return bool(kind) and not self.partition_key and {*self.databases} <= {database}


def _below(tables: Mapping[str, _Table], name: str) -> tuple[list[str], list[View]]:
    """Return the tables that an insertion into `name` writes to, and the views that do it."""
    written, views = [name], list[View]()
    for dependent in tables[name].dependents if name in tables else ():
        view = tables.get(dependent)
        target = view.target if view else ""
        views.append(View(dependent, name, target, view.query if view else ""))
        further = _below(tables, target)
        written, views = written + further[0], views + further[1]
    return written, views


def _mention(table: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w.`])\w+\.({re.escape(table)})(?![\w`])")


def _make_temporary(connection: Connection, database: str, name: str, engine: str) -> None:
    connection.run(f"CREATE TEMPORARY TABLE {name} AS {sql.quoted_name(database)}.{name} ENGINE = {engine}")
