"""The one door to chDB: a connection per query, and sessions that keep theirs."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import chdb

from t0dspy.stack.clickhouse.failure import EngineError, failure_of
from t0dspy.stack.clickhouse.query import Session

_chdb: Any = chdb._chdb  # `chdb.connect` wraps it, and hides `classify_query`
_AS_A_SERVER = "implicit_select=0"  # chDB reads `1 + 1` and `selec` as queries; a ClickHouse server does not


class Connection:
    """One connection to the engine, with a database, settings and temporary tables of its own.

    Any number of them work at once; one of them works on one thing at a time.
    """

    def __init__(self, path: str) -> None:
        """Opens it, in about 0.1 ms, which is why there is no pool; EngineError if the engine cannot start."""
        try:
            self._engine = _chdb.connect(f"{path}?{_AS_A_SERVER}")
        except RuntimeError as error:
            raise failure_of(error) from error

    def run(self, sql: str | bytes, format: str = "TabSeparated", **parameters: str) -> Any:
        """The result of `sql`; EngineError if the engine refuses it."""
        return self.run_with(sql, format, parameters)

    def run_with(self, sql: str | bytes, format: str, parameters: dict[str, str]) -> Any:
        """The same, for parameters whose names are a client's."""
        try:
            return self._engine.query(sql, format, params=parameters)
        except RuntimeError as error:
            raise failure_of(error) from error

    def insert(self, head: str, format: str, rows: bytes) -> Any:
        """What chDB counted while it stored `rows`, which are in `format`; EngineError if it refuses them."""
        try:
            insertion = self._engine.send_insert(head, format)
            try:
                self._engine.insert_append(insertion, rows)
            except RuntimeError:
                self._engine.insert_cancel(insertion)
                raise
            return self._engine.insert_done(insertion)
        except RuntimeError as error:
            raise failure_of(error) from error

    def classify(self, sql: bytes) -> tuple[bool, int]:
        """Whether the engine's parser says that `sql` leaves no trace, and how many statements it has."""
        report = self._engine.classify_query(sql)
        return report["query_class"] == _chdb.query_class.READ_ONLY, report["statement_count"]

    def close(self) -> None:
        """Give it back to the engine."""
        self._engine.close()


@dataclass
class _Kept:
    connection: Connection
    expires: float
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class Format:
    """A format that results can be written in."""

    name: str
    content_type: str


class Engine:
    """chDB on one directory; there is at most one in a process."""

    def __init__(self, directory: Path) -> None:
        """Opens or makes the database in `directory`; EngineError if the engine cannot."""
        _leave_signals_alone()
        directory.mkdir(exist_ok=True)
        os.chdir(directory.parent)  # chDB reads options out of its path: a relative one has none of the user's letters
        self._path = directory.name
        self._first = self._connect()  # the engine runs for as long as somebody is connected
        self._sessions: dict[str, _Kept] = {}
        self._guard = threading.Lock()
        self.timezone, self.host, self.version = _lines(self._first, "SELECT timezone(), hostName(), version()")[0]
        self._formats = {
            name.lower(): Format(name, content_type)
            for name, content_type in _lines(
                self._first, "SELECT name, content_type FROM system.formats WHERE is_output"
            )
        }

    def format(self, name: str) -> Format:
        """The format called `name`; EngineError if there is none."""
        found = self._formats.get(name.lower())
        if found is None:
            raise EngineError("UNKNOWN_FORMAT", f"Unknown format {name}.")
        return found

    @contextmanager
    def connection(self, session: Session | None) -> Iterator[Connection]:
        """A connection for one query: a fresh one, or the session's."""
        if session is not None:
            with self._kept(session) as kept:
                yield kept
            return
        fresh = self._connect()
        try:
            yield fresh
        finally:
            fresh.close()

    def kill(self, tag: str) -> None:
        """Cancel the running query whose `log_comment` is `tag`, if there is one."""
        with self.connection(None) as connection:
            connection.run("KILL QUERY WHERE Settings['log_comment'] = {tag:String} ASYNC", tag=tag)

    def kill_all(self) -> None:
        """Cancel every running query."""
        with self.connection(None) as connection:
            connection.run("KILL QUERY WHERE 1 ASYNC")

    def close(self) -> None:
        """Shut the engine down; nothing may be running."""
        for kept in self._sessions.values():
            kept.connection.close()
        self._sessions.clear()
        self._first.close()

    def _connect(self) -> Connection:
        return Connection(self._path)

    @contextmanager
    def _kept(self, session: Session) -> Iterator[Connection]:
        kept = self._session(session)
        try:
            yield kept.connection
        finally:
            kept.expires = time.monotonic() + session.timeout
            kept.lock.release()

    def _session(self, session: Session) -> _Kept:
        with self._guard:
            self._expire()
            kept = self._sessions.get(session.key)
            if kept is None and session.must_exist:
                raise EngineError("SESSION_NOT_FOUND", "Session not found.")
            if kept is None:
                kept = self._sessions[session.key] = _Kept(self._connect(), time.monotonic())
            if not kept.lock.acquire(blocking=False):
                raise EngineError("SESSION_IS_LOCKED", "Session is locked by a concurrent client.")
            return kept

    def _expire(self) -> None:
        now = time.monotonic()
        for key, kept in list(self._sessions.items()):
            if kept.expires < now and not kept.lock.locked():
                self._sessions.pop(key).connection.close()


def _lines(connection: Connection, sql: str) -> list[list[str]]:
    return [line.split("\t") for line in connection.run(sql).bytes().decode().splitlines()]


def _leave_signals_alone() -> None:
    """Take back the handlers that chDB installs at import: the server stops itself, and a closed pipe is an error."""
    _chdb.reset_signal_handlers()
    _chdb.set_signal_handlers_enabled(0)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
