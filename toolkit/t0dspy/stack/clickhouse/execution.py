"""One query, from its values to its outcome."""

import json
import os
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from t0dspy.stack.clickhouse import sql
from t0dspy.stack.clickhouse.engine import Connection, Engine
from t0dspy.stack.clickhouse.failure import EngineError
from t0dspy.stack.clickhouse.query import Counts, ExternalTable, Outcome, Query

_TAG = "log_comment"  # the one setting that is free text and shows in system.processes


class Execution:
    """Runs one query: once, on one thread. Any other thread may cancel it."""

    def __init__(self, engine: Engine, query: Query) -> None:
        """Nothing happens before `run`."""
        self._engine, self._query = engine, query
        # A comment of the client's stays; such a query is cancelled by closing its pipe alone.
        self._tag = None if _TAG in query.settings else uuid.uuid4().hex
        self._cancelled, self._harmless = threading.Event(), False
        self.format = query.format
        """Of the result; known from its first byte on."""

    @property
    def timezone(self) -> str:
        """The time zone that dates in the result are in."""
        return self._query.settings.get("session_timezone") or self._engine.timezone

    def run(self, pipe: int) -> Outcome:
        """The outcome, or EngineError.

        A result that may be large is written to the file descriptor `pipe` while the query runs, so somebody must read
        the other end; every other result is in the outcome. `pipe` is closed at the end, whatever happens.
        """
        try:
            with self._engine.connection(self._query.session) as connection, self._prepared(connection):
                if self._cancelled.is_set():
                    raise EngineError("QUERY_WAS_CANCELLED", "Query was cancelled.")
                return self._outcome(connection, pipe)
        finally:
            os.close(pipe)

    def cancel(self) -> None:
        """Stop a query that only reads; one that writes and has begun goes on.

        Without effect on a query that the engine is about to begin: then, call it again.
        """
        self._cancelled.set()
        if self._tag is not None and self._harmless:
            with suppress(EngineError):
                self._engine.kill(self._tag)

    @contextmanager
    def _prepared(self, connection: Connection) -> Iterator[None]:
        query = self._query
        if query.database is not None:
            connection.run(f"USE {sql.quoted_name(query.database)}")
        for table in query.external:
            _make(connection, table, self._engine.format(table.format).name if table.data else table.format)
        settings = dict(query.settings) | ({_TAG: self._tag} if self._tag else {})
        if query.session is None:
            if query.read_only and settings.get("readonly", "0") in ("", "0"):
                settings["readonly"] = "2"  # ClickHouse's own for GET: no writes, but settings may be set
            connection.run(sql.set_statement(settings)) if settings else None
            yield
        else:
            settings.pop("readonly", None)  # it could not be taken back; `_outcome` looks at the statement instead
            with _borrowed(connection, settings), _dropped(connection, query.external):
                yield

    def _outcome(self, connection: Connection, pipe: int) -> Outcome:
        statement = self._query.sql
        if not statement.strip():
            raise EngineError("SYNTAX_ERROR", "Syntax error: Empty query.")
        rows = sql.inserted_rows(statement)
        if rows is not None and not self._must_be_harmless():
            return self._inserted(connection, rows)
        harmless, statements = connection.classify(rows.head if rows else statement)
        self._harmless = harmless
        if statements > 1:
            raise EngineError("SYNTAX_ERROR", "Syntax error (Multi-statements are not allowed).")
        if not harmless and self._must_be_harmless():
            raise EngineError("READONLY", "Cannot execute query in readonly mode.")
        if not harmless and sql.is_select(statement) and sql.writes_outfile(statement):
            raise EngineError("INTO_OUTFILE_NOT_ALLOWED", "INTO OUTFILE is not allowed.")
        named = _named_format(connection, statement) if harmless else None
        self.format = named or self._engine.format(self._query.format).name
        if harmless and sql.is_select(statement) and named == sql.named_format(statement):
            with suppress(_NotPipedError):
                return self._piped(connection, pipe)
        outcome = self._whole(connection, harmless)
        if statements == 0:  # chDB passes over some texts that are no statements
            raise EngineError("SYNTAX_ERROR", "Syntax error: this is not a statement.")
        return outcome

    def _inserted(self, connection: Connection, rows: sql.InsertedRows) -> Outcome:
        for name, value in self._query.parameters.items():
            connection.run(sql.set_statement({f"param_{name}": value}))
        result = connection.insert(rows.head.decode(errors="surrogateescape"), rows.format, rows.rows)
        return Outcome(b"", None, _counts(result))

    def _must_be_harmless(self) -> bool:
        query = self._query
        return query.session is not None and (query.read_only or query.settings.get("readonly", "0") not in ("", "0"))

    def _piped(self, connection: Connection, pipe: int) -> Outcome:
        query = self._query
        statement = sql.with_outfile(query.sql, f"/dev/fd/{pipe}", self.format)
        try:
            result = connection.run_with(statement, self.format, dict(query.parameters))
        except EngineError as failure:
            if (
                failure.name == "SYNTAX_ERROR"
            ):  # perhaps ours; nothing has been done yet, and the engine's words come next
                raise _NotPipedError from failure
            raise
        return Outcome(b"", self.format, _counts(result))

    def _whole(self, connection: Connection, harmless: bool) -> Outcome:
        result = connection.run_with(self._query.sql, self.format, dict(self._query.parameters))
        body = bytes(result.bytes() or b"")
        return Outcome(body, self.format if body or harmless else None, _counts(result))


class _NotPipedError(Exception):
    """The statement does not take the clause that would send its result down the pipe."""


def _named_format(connection: Connection, statement: bytes) -> str | None:
    """The format that the statement names; the engine is asked where it may stand in a comment."""
    if sql.named_format(statement) is None or not sql.has_comments(statement):
        return sql.named_format(statement)
    text = sql.escaped_parameter(statement.decode(errors="replace"))
    bare = connection.run("SELECT formatQuerySingleLine({statement:String})", "RawBLOB", statement=text)
    return sql.named_format(bare.bytes())


def _make(connection: Connection, table: ExternalTable, format: str) -> None:
    name = sql.quoted_name(table.name)
    columns = f"CREATE TEMPORARY TABLE {name} AS SELECT * FROM null({{columns:String}})"  # noqa: S608  # quoted
    connection.run(columns, columns=table.structure)
    if table.data:
        connection.run(f"INSERT INTO {name} FORMAT {format}\n".encode() + table.data)


@contextmanager
def _dropped(connection: Connection, tables: tuple[ExternalTable, ...]) -> Iterator[None]:
    try:
        yield
    finally:
        for table in tables:
            connection.run(f"DROP TEMPORARY TABLE {sql.quoted_name(table.name)}")


@contextmanager
def _borrowed(connection: Connection, settings: Mapping[str, str]) -> Iterator[None]:
    """`settings` for one query of a session, which has its own values for them afterwards."""
    wanted = {name: settings[name] for name in settings}
    statement = sql.set_statement(wanted)
    columns = ", ".join(f"toString(getSetting({{n{number}:String}}))" for number, _ in enumerate(wanted))
    names = {f"n{number}": name for number, name in enumerate(wanted)}
    row = connection.run(f"SELECT {columns}", "JSONCompactEachRow", **names).bytes() if wanted else b"[]"
    connection.run(statement) if wanted else None
    try:
        yield
    finally:
        before = dict(zip(wanted, json.loads(row), strict=True))
        connection.run(sql.set_statement(before)) if before else None


def _counts(result: Any) -> Counts:
    written = result.rows_written()
    return Counts(
        read_rows=result.storage_rows_read(),
        read_bytes=result.storage_bytes_read(),
        written_rows=written,
        written_bytes=result.bytes_written(),
        result_rows=result.rows_read() or written,
        result_bytes=result.bytes_read() or result.bytes_written(),
        elapsed_ns=round(result.elapsed() * 1e9),
    )
