"""Connections to chDB; no other module imports it."""

import json
import os
import re
import signal
import tempfile
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import chdb

from chdb_http import sql
from chdb_http.engine_error import EngineError, parse_failure
from chdb_http.query import ExternalTable

# Workaround (chdb 4.4): `chdb.connect` does not expose `classify_query`; remove when it exposes it.
_chdb: Any = chdb._chdb
OPTIONS = "&".join(
    (
        # Workaround (chdb 4.4): chDB accepts `1 + 1` and `selec` as queries, which a ClickHouse server refuses; remove
        # when `implicit_select` is off by default.
        "implicit_select=0",
        # Workaround (chdb 4.4): the query profiler starts two timers for each thread of each query, for a log that chDB
        # does not have; remove when it is off by default.
        "query_profiler_real_time_period_ns=0",
        "query_profiler_cpu_time_period_ns=0",
    )
)
"""Options in the path of every connection."""

_REFUSALS = (RuntimeError, UnicodeDecodeError)  # UnicodeDecodeError, because messages may quote a client's bytes
_TAG = "log_comment"  # the only setting with free text that system.processes shows
_ONE_BLOCK = 1 << 20  # bytes that hold fewer rows than the engine stores at a time
_ALONE = threading.Lock()
_CONSTRAINT = "VIOLATED_CONSTRAINT"
_READING = ": While executing File: data for INSERT was parsed from file"
_OF_THE_FILE = re.compile(rf": \(in file/uri /dev/fd/\d+\)|{_READING}")


@dataclass(frozen=True)
class Setup:
    """The database and the settings of a connection."""

    database: str | None = None
    settings: tuple[tuple[str, str], ...] = ()


class Connection:
    """One connection to the engine, with a database, settings and temporary tables of its own.

    Connections work in parallel, but each runs one statement at a time. Its methods raise EngineError if the engine
    refuses a statement.
    """

    def __init__(self, path: str) -> None:
        """Open the connection. `path` ends in `OPTIONS`, as a query string."""
        self._tag: str | None = None
        try:
            self._engine = _chdb.connect(path)
        except _REFUSALS as error:
            raise parse_failure(error) from error

    def run(self, statement: str | bytes, format: str = "TabSeparated", **parameters: str) -> Any:
        """Run `statement` and return its result."""
        return self.run_with(statement, format, parameters)

    def run_with(self, statement: str | bytes, format: str, parameters: Mapping[str, str]) -> Any:
        """Run `statement` with parameters whose names come from a client."""
        try:
            return self._engine.query(statement, format, params=dict(parameters))
        except _REFUSALS as error:
            raise parse_failure(error) from error

    def insert(self, rows: sql.InsertedRows, parameters: Mapping[str, str]) -> Any:
        """Store `rows` and return the engine's result with its counts."""
        with _readable(rows.rows) as path:
            try:
                return self.run_with(rows.from_file(path), "TabSeparated", parameters)
            except EngineError as failure:
                if not _takes_no_file(failure, rows):
                    raise _of_the_rows(failure, rows) from failure
        return self._insert_alone(rows, parameters)

    def _insert_alone(self, rows: sql.InsertedRows, parameters: Mapping[str, str]) -> Any:
        """Store `rows` by chDB's own insertions.

        Two of them at a time lose rows of materialized views, and they support neither constraints nor parameters.
        """
        for name, value in parameters.items():
            self.run(sql.set_statement({f"param_{name}": value}))
        try:
            with _ALONE:
                insertion = self._engine.send_insert(rows.statement.decode(errors="surrogateescape"), rows.format)
                try:
                    self._engine.insert_append(insertion, rows.rows)
                except _REFUSALS:
                    self._engine.insert_cancel(insertion)
                    raise
                return self._engine.insert_done(insertion)
        except _REFUSALS as error:
            raise parse_failure(error) from error

    def classify(self, statement: bytes) -> tuple[bool, int]:
        """Return whether `statement` leaves no trace, and its number of statements, from the engine's parser."""
        report = self._engine.classify_query(statement)
        return report["query_class"] == _chdb.query_class.READ_ONLY, report["statement_count"]

    def adopt(self, setup: Setup) -> None:
        """Use the database and the settings of `setup` from now on."""
        if setup.database is not None:
            self.run(f"USE {sql.quoted_name(setup.database)}")
        self.run(sql.set_statement(self._with_tag(dict(setup.settings))))

    @contextmanager
    def borrowed(self, setup: Setup) -> Iterator[None]:
        """Use the settings of `setup` for the block, and its database from now on."""
        if setup.database is not None:
            self.run(f"USE {sql.quoted_name(setup.database)}")
        wanted = self._with_tag(dict(setup.settings))
        statement = sql.set_statement(wanted)
        columns = ", ".join(f"toString(getSetting({{n{number}:String}}))" for number in range(len(wanted)))
        names = {f"n{number}": name for number, name in enumerate(wanted)}
        before = json.loads(self.run(f"SELECT {columns}", "JSONCompactEachRow", **names).bytes())
        self.run(statement)
        try:
            yield
        finally:
            self.run(sql.set_statement(dict(zip(wanted, before, strict=True))))

    def make(self, table: ExternalTable) -> None:
        """Make a temporary table."""
        name = sql.quoted_name(table.name)
        columns = f"CREATE TEMPORARY TABLE {name} AS SELECT * FROM null({{columns:String}})"  # noqa: S608  # quoted
        self.run(columns, columns=table.structure)
        rows = sql.InsertedRows(f"INSERT INTO {name}".encode(), b"", sql.checked_format(table.format), table.data)
        self.insert(rows, {})

    def drop(self, table: ExternalTable) -> None:
        """Drop a temporary table."""
        self.run(f"DROP TEMPORARY TABLE IF EXISTS {sql.quoted_name(table.name)}")

    def cancel(self, killer: "Connection") -> None:
        """Cancel this connection's query through the connection `killer`, if the query has a tag."""
        if self._tag is not None:
            killer.run("KILL QUERY WHERE Settings['log_comment'] = {tag:String} ASYNC", tag=self._tag)

    def close(self) -> None:
        """Close the connection."""
        self._engine.close()

    def _with_tag(self, settings: dict[str, str]) -> dict[str, str]:
        """Return `settings` with a tag that identifies the queries, unless the client set a comment of its own."""
        self._tag = None if _TAG in settings else uuid.uuid4().hex
        return settings if self._tag is None else {**settings, _TAG: self._tag}


def _takes_no_file(failure: EngineError, rows: sql.InsertedRows) -> bool:
    """Return whether nothing was stored, so that the rows must be inserted without a file.

    With a file, the engine does not know the table's other columns while it reads rows, so it fails if a column's
    default is computed from them. A syntax error is produced again without a file, so that it quotes the client's text.
    """
    # Workaround (chdb 4.4): an insert that reads its rows from a file does not know the table's other columns, so it
    # fails if a default is computed from them; remove when such defaults work.
    if _READING in failure.message:
        return failure.name == "UNKNOWN_IDENTIFIER" and len(rows.rows) < _ONE_BLOCK
    return failure.name == "SYNTAX_ERROR"


def _of_the_rows(failure: EngineError, rows: sql.InsertedRows) -> EngineError:
    """Return `failure` without its text about a file, because the client sent none."""
    refused = failure.name == _CONSTRAINT or _READING in failure.message
    message = _OF_THE_FILE.sub("", failure.message)
    return EngineError(failure.name, message, failure.code, before_storing=refused and len(rows.rows) < _ONE_BLOCK)


@contextmanager
def _readable(data: bytes) -> Iterator[str]:
    """Provide a path at which the engine can read `data`."""
    with _nameless() as file:
        file.write(data)
        file.seek(0)
        yield f"/dev/fd/{file.fileno()}"


def _nameless() -> IO[bytes]:
    if hasattr(os, "memfd_create"):  # Linux
        return os.fdopen(os.memfd_create("rows"), "w+b")
    return tempfile.TemporaryFile()


def leave_signals_alone() -> None:
    """Remove the handlers that chDB installs at import, and turn SIGPIPE into an error."""
    # Workaround (chdb 4.4): chDB installs signal handlers at import; remove when the import installs none. See
    # chdb-io/chdb#321.
    _chdb.reset_signal_handlers()
    _chdb.set_signal_handlers_enabled(0)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
