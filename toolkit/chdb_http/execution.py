"""Run one query."""

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

from chdb_http import sql
from chdb_http.connection import Connection, Setup
from chdb_http.engine import Engine
from chdb_http.engine_error import EngineError, internal_error
from chdb_http.query import Counts, Outcome, Query, Session
from chdb_http.row_events import USUAL_DATABASE, asks_for_async, is_plain, parse_table, switches
from chdb_http.segment import Entry

_OFF = ("", "0", "false")


class Execution:
    """One run of a query on one thread. Any other thread may cancel it."""

    def __init__(self, engine: Engine, query: Query) -> None:
        """Prepare the run; `run` starts it."""
        self._engine, self._query = engine, query
        self._cancelled, self._guard = threading.Event(), threading.Lock()
        self._reading: Connection | None = None
        self._leaves_traces = True
        self.format = query.format
        """The format of the result, set before its first byte."""

    @property
    def timezone(self) -> str:
        """Return the time zone of dates in the result."""
        return self._query.settings.get("session_timezone") or self._engine.timezone

    def run(self, pipe: int) -> Outcome:
        """Run the query and return its outcome. Raises EngineError.

        A result that may be large is written to the file descriptor `pipe` while the query runs, so the caller must
        read the other end; every other result is in the outcome. `pipe` is closed at the end, whatever happens.
        """
        try:
            with self._connection() as connection:
                if self._cancelled.is_set():
                    raise EngineError("QUERY_WAS_CANCELLED", "Query was cancelled.")
                return self._outcome(connection, pipe)
        except EngineError:
            raise
        except Exception as bug:
            raise internal_error(bug) from bug
        finally:
            os.close(pipe)

    def cancel(self) -> None:
        """Stop a query that only reads. A query that writes continues once it has begun.

        A query that the engine is about to begin is not stopped: call this again then.
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
        return self._with_tables() if query.external else self._from_pool()

    @contextmanager
    def _from_pool(self) -> Iterator[Connection]:
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
            settings.pop("readonly", None)  # a session cannot unset it; `_classify` checks the statement instead
        elif query.read_only and settings.get("readonly", "0") in _OFF:
            settings["readonly"] = "2"  # as ClickHouse does for GET: no writes, but settings may be set
        return Setup(query.database, tuple(settings.items()))

    def _outcome(self, connection: Connection, pipe: int) -> Outcome:
        statement = self._query.sql
        rows = sql.inserted_rows(statement)
        harmless, statements = self._classify(connection, rows.statement if rows else statement)
        if rows is not None:
            return self._insert(connection, rows)
        outcome = self._run_statement(connection, pipe, harmless=harmless)
        # Workaround (chdb 4.4): chDB ignores some texts that are not statements; remove when it reports a syntax error.
        if statements == 0:
            raise EngineError("SYNTAX_ERROR", "Syntax error: this is not a statement.")
        return outcome

    def _run_statement(self, connection: Connection, pipe: int, *, harmless: bool) -> Outcome:
        statement = self._query.sql
        named = _named_format(connection, statement) if harmless else None
        self.format = named or self._engine.format(self._query.format).name
        if not harmless:
            _refuse_files(statement)
            with self._engine.row_events.change():
                self._settle_before_change()
                return self._run_whole(connection, is_result=False)
        if not sql.is_probe(statement):
            self._engine.write_log.settle()
        with self._cancellable(connection):
            if sql.is_select(statement) and named == sql.named_format(statement):
                with suppress(_NotPipedError):
                    return self._stream_to_pipe(connection, pipe)
            return self._run_whole(connection, is_result=True)

    def _settle_before_change(self) -> None:
        try:
            self._engine.write_log.settle()
        except EngineError:
            if sql.is_insert(self._query.sql):  # other statements may fix the cause
                raise

    def _classify(self, connection: Connection, statement: bytes) -> tuple[bool, int]:
        """Return whether the text leaves no trace, and its number of statements. Raises EngineError."""
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

    def _insert(self, connection: Connection, rows: sql.InsertedRows) -> Outcome:
        query = self._query
        self._leaves_traces = bool(query.parameters)

        # a session or a request with external tables may have a temporary table of this name
        sure = not (query.session or query.external) and is_plain(query.settings, rows)
        generation, table = self._engine.row_events.generation if sure else None, parse_table(rows)
        counts = self._log(table, rows) if sure else None
        if counts is None:
            with self._engine.write_log.beside(table):
                counts = Counts.from_result(connection.insert(rows, query.parameters))
        self._engine.row_events.inserted(query.database, rows, since=generation)
        return Outcome(b"", None, counts)

    def _log(self, table: str | None, rows: sql.InsertedRows) -> Counts | None:
        """Return the counts of rows that are in the write-ahead log, with no time spent; None if they are not."""
        query = self._query
        if table is None or query.read_only or query.parameters or not asks_for_async(rows, query.settings):
            return None
        asked = {**query.settings, **switches(rows)}
        settings = tuple((name, value) for name, value in asked.items() if not name.endswith("async_insert"))
        return self._engine.write_log.put(Entry(query.database or USUAL_DATABASE, table, settings, rows.rows))

    def _stream_to_pipe(self, connection: Connection, pipe: int) -> Outcome:
        statement = sql.with_outfile(self._query.sql, f"/dev/fd/{pipe}", self.format)
        try:
            result = connection.run_with(statement, self.format, self._query.parameters)
        except EngineError as failure:
            if failure.name == "SYNTAX_ERROR":  # the added clause may be the cause, so run the client's own text
                raise _NotPipedError from failure
            raise
        return Outcome(b"", self.format, Counts.from_result(result))

    def _run_whole(self, connection: Connection, *, is_result: bool) -> Outcome:
        result = connection.run_with(self._query.sql, self.format, self._query.parameters)
        body = bytes(result.bytes() or b"")
        return Outcome(body, self.format if body or is_result else None, Counts.from_result(result))


class _NotPipedError(Exception):
    """The statement does not accept the clause that writes its result to the pipe."""


def _refuse_files(statement: bytes) -> None:
    if sql.reads_infile(statement):
        raise EngineError("UNKNOWN_TYPE_OF_QUERY", "Query has infile and was send directly to server.")
    if sql.reads_input(statement):  # the engine would read the rows as statements
        raise EngineError("NOT_IMPLEMENTED", "input() is not known here; send the rows as an external table.")


def _named_format(connection: Connection, statement: bytes) -> str | None:
    """Return the format that the statement names, without comments, which the engine removes."""
    if sql.named_format(statement) is None or not sql.has_comments(statement):
        return sql.named_format(statement)
    text = sql.escaped_parameter(statement.decode(errors="replace"))
    bare = connection.run("SELECT formatQuerySingleLine({text:String})", "RawBLOB", text=text)
    return sql.named_format(bare.bytes())
