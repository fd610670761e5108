"""One query, from its values to its outcome."""

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

from chdb_http import columns, sql
from chdb_http.batches import counts_of, is_one_small, may_wait
from chdb_http.connection import Connection, Setup
from chdb_http.engine import Engine
from chdb_http.failure import EngineError, unexpected
from chdb_http.news import USUAL_DATABASE, is_plain, table_of
from chdb_http.query import Counts, Outcome, Query, Session

_OFF = ("", "0", "false")


class Execution:
    """Runs one query: once, on one thread. Any other thread may cancel it."""

    def __init__(self, engine: Engine, query: Query) -> None:
        """Nothing happens before `run`."""
        self._engine, self._query = engine, query
        self._cancelled, self._guard = threading.Event(), threading.Lock()
        self._reading: Connection | None = None
        self._leaves_traces = True
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
            with self._connection() as connection:
                if self._cancelled.is_set():
                    raise EngineError("QUERY_WAS_CANCELLED", "Query was cancelled.")
                return self._outcome(connection, pipe)
        except EngineError:
            raise
        except Exception as bug:
            raise unexpected(bug) from bug
        finally:
            os.close(pipe)

    def cancel(self) -> None:
        """Stop a query that only reads; one that writes and has begun goes on.

        Without effect on a query that the engine is about to begin: then, call it again.
        """
        self._cancelled.set()
        with self._guard:  # while it is held, the connection is not given to another query
            if self._reading is not None:
                with suppress(EngineError):
                    self._engine.kill(self._reading)

    def _connection(self) -> AbstractContextManager[Connection]:
        query = self._query
        if query.session is not None:
            return self._of_session(query.session)
        return self._with_tables() if query.external else self._pooled()

    @contextmanager
    def _pooled(self) -> Iterator[Connection]:
        setup, pool = self._setup(), self._engine.pool
        connection, generation = pool.take(setup)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        if self._leaves_traces:
            connection.close()
            pool.forget()
        else:
            pool.give_back(setup, connection, generation)

    @contextmanager
    def _with_tables(self) -> Iterator[Connection]:
        connection, setup = self._engine.connect(), self._setup()
        try:
            connection.adopt(Setup(setup.database))
            for table in self._query.external:
                connection.make(table)
            connection.adopt(Setup(None, setup.settings))
            yield connection
        finally:
            connection.close()

    @contextmanager
    def _of_session(self, session: Session) -> Iterator[Connection]:
        with self._engine.sessions.connection(session) as connection, connection.borrowed(self._setup()):
            try:
                for table in self._query.external:
                    connection.make(table)
                yield connection
            finally:
                for table in self._query.external:
                    connection.drop(table)

    def _setup(self) -> Setup:
        query, settings = self._query, dict(self._query.settings)
        if query.session is not None:
            settings.pop("readonly", None)  # it could not be taken back; `_classified` looks at the statement instead
        elif query.read_only and settings.get("readonly", "0") in _OFF:
            settings["readonly"] = "2"  # ClickHouse's own for GET: no writes, but settings may be set
        return Setup(query.database, tuple(settings.items()))

    def _outcome(self, connection: Connection, pipe: int) -> Outcome:
        statement = self._query.sql
        rows = sql.inserted_rows(statement)
        harmless, statements = self._classified(connection, rows.statement if rows else statement)
        if rows is not None:
            return self._inserted(connection, rows)
        outcome = self._answered(connection, pipe, harmless=harmless)
        # Workaround (chdb 4.4): chDB ignores some texts that are not statements; remove when it reports a syntax error.
        if statements == 0:
            raise EngineError("SYNTAX_ERROR", "Syntax error: this is not a statement.")
        return outcome

    def _answered(self, connection: Connection, pipe: int, *, harmless: bool) -> Outcome:
        statement = self._query.sql
        named = _named_format(connection, statement) if harmless else None
        self.format = named or self._engine.format(self._query.format).name
        if not harmless:
            _refuse_files(statement)
            with self._engine.news.change():
                self._settle_before_change()
                return self._whole(connection, is_result=False)
        if not sql.is_probe(statement):
            self._engine.journal.settle()
        with self._cancellable(connection):
            if sql.is_select(statement) and named == sql.named_format(statement):
                with suppress(_NotPipedError):
                    return self._piped(connection, pipe)
            return self._whole(connection, is_result=True)

    def _settle_before_change(self) -> None:
        try:
            self._engine.journal.settle()
        except EngineError:
            if sql.is_insert(self._query.sql):  # others may mend what keeps rows from being stored
                raise

    def _classified(self, connection: Connection, statement: bytes) -> tuple[bool, int]:
        """What the engine's parser says of the statement; EngineError if it may not be run here."""
        harmless, statements = connection.classify(statement)
        self._leaves_traces = not harmless
        if not statement.strip():
            raise EngineError("SYNTAX_ERROR", "Syntax error: Empty query.")
        if statements > 1:
            raise EngineError("SYNTAX_ERROR", "Syntax error (Multi-statements are not allowed).")
        if not harmless and self._must_be_harmless():
            raise EngineError("READONLY", "Cannot execute query in readonly mode.")
        if not harmless and sql.is_select(statement) and sql.writes_outfile(statement):
            raise EngineError("INTO_OUTFILE_NOT_ALLOWED", "INTO OUTFILE is not allowed.")
        return harmless, statements

    def _must_be_harmless(self) -> bool:
        query = self._query
        return query.session is not None and (query.read_only or query.settings.get("readonly", "0") not in _OFF)

    @contextmanager
    def _cancellable(self, connection: Connection) -> Iterator[None]:
        self._reading = connection
        try:
            yield
        finally:
            with self._guard:
                self._reading = None

    def _inserted(self, connection: Connection, rows: sql.InsertedRows) -> Outcome:
        query = self._query
        self._leaves_traces = bool(query.parameters)

        def store(rows: sql.InsertedRows) -> Counts:
            return _counts(connection.insert(rows, query.parameters))

        # a session or a request of several parts may have a table of its own by the name
        sure = not (query.session or query.external) and is_plain(query.settings, rows)
        generation, table = self._engine.news.generation if sure else None, table_of(rows)
        asked = not (query.parameters or query.session or query.external) and may_wait(rows, query.settings)
        if sure and asked and self._is_kept(connection, table, rows):
            counts = counts_of(rows, len(columns.lines(rows.rows)))
        else:
            with self._engine.journal.beside(table):
                together = asked and is_one_small(rows)
                counts = self._engine.batches.store(rows, self._setup(), store) if together else store(rows)
        self._engine.news.inserted(query.database, rows, since=generation)
        return Outcome(b"", None, counts)

    def _is_kept(self, connection: Connection, table: str | None, rows: sql.InsertedRows) -> bool:
        if table is None or self._query.read_only:
            return False
        return self._engine.journal.put(connection, self._query.database or USUAL_DATABASE, table, rows.rows)

    def _piped(self, connection: Connection, pipe: int) -> Outcome:
        statement = sql.with_outfile(self._query.sql, f"/dev/fd/{pipe}", self.format)
        try:
            result = connection.run_with(statement, self.format, self._query.parameters)
        except EngineError as failure:
            if failure.name == "SYNTAX_ERROR":  # perhaps ours; nothing has been done, and the engine's words come next
                raise _NotPipedError from failure
            raise
        return Outcome(b"", self.format, _counts(result))

    def _whole(self, connection: Connection, *, is_result: bool) -> Outcome:
        result = connection.run_with(self._query.sql, self.format, self._query.parameters)
        body = bytes(result.bytes() or b"")
        return Outcome(body, self.format if body or is_result else None, _counts(result))


class _NotPipedError(Exception):
    """The statement does not take the clause that would send its result down the pipe."""


def _refuse_files(statement: bytes) -> None:
    if sql.reads_infile(statement):
        raise EngineError("UNKNOWN_TYPE_OF_QUERY", "Query has infile and was send directly to server.")
    if sql.reads_input(statement):  # the engine would take the rows for statements
        raise EngineError("NOT_IMPLEMENTED", "input() is not known here; send the rows as an external table.")


def _named_format(connection: Connection, statement: bytes) -> str | None:
    """The format that the statement names; the engine is asked where it may stand in a comment."""
    if sql.named_format(statement) is None or not sql.has_comments(statement):
        return sql.named_format(statement)
    text = sql.escaped_parameter(statement.decode(errors="replace"))
    bare = connection.run("SELECT formatQuerySingleLine({text:String})", "RawBLOB", text=text)
    return sql.named_format(bare.bytes())


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
