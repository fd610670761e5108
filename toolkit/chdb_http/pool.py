"""Keep open connections for later queries, by database and settings or by session."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from chdb_http.connection import Connection, Setup
from chdb_http.engine_error import EngineError
from chdb_http.query import Session

_MOST_IDLE = 64


class Pool:
    """Idle connections. A query takes one that has exactly the database and the settings that it needs.

    Opening one and setting it up takes about as long as a small query; clients send the same few settings every time.
    """

    def __init__(self, connect: Callable[[], Connection]) -> None:
        """Start without connections. `connect` opens one."""
        self._connect = connect
        self._idle: list[tuple[Setup, Connection]] = []
        self._guard = threading.Lock()
        self._generation = 0

    def take(self, setup: Setup) -> tuple[Connection, int]:
        """Return a connection with this setup, and the generation to give it back with. Raises EngineError."""
        with self._guard:
            generation = self._generation
            for index in range(len(self._idle) - 1, -1, -1):  # the last one used has the most in its caches
                if self._idle[index][0] == setup:
                    return self._idle.pop(index)[1], generation
        connection = self._connect()
        try:
            connection.adopt(setup)
        except EngineError:
            connection.close()
            raise
        return connection, generation

    def give_back(self, setup: Setup, connection: Connection, generation: int) -> None:
        """Keep a connection that still has this setup."""
        with self._guard:
            if generation == self._generation:
                self._idle.append((setup, connection))
                surplus = self._idle.pop(0)[1] if len(self._idle) > _MOST_IDLE else None
            else:
                surplus = connection
        if surplus is not None:
            surplus.close()

    def forget(self) -> None:
        """Close all connections, and those in use when they are given back, because their databases may be gone."""
        with self._guard:
            self._generation += 1
            idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.close()


@dataclass
class _Kept:
    connection: Connection
    expires: float
    lock: threading.Lock = field(default_factory=threading.Lock)


class Sessions:
    """Connections of sessions. Each is closed if it is not used for the timeout of its session."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        """Start without connections. `connect` opens one."""
        self._connect = connect
        self._kept: dict[str, _Kept] = {}
        self._guard = threading.Lock()

    @contextmanager
    def connection(self, session: Session) -> Iterator[Connection]:
        """Lend the connection of `session` to one query. Raises EngineError if it is busy, or missing but required."""
        kept = self._lock(session)
        try:
            yield kept.connection
        finally:
            kept.expires = time.monotonic() + session.timeout
            kept.lock.release()

    def close(self) -> None:
        """End all sessions."""
        for kept in self._kept.values():
            kept.connection.close()
        self._kept.clear()

    def _lock(self, session: Session) -> _Kept:
        with self._guard:
            self._expire()
            kept = self._kept.get(session.key)
            if kept is None and session.must_exist:
                raise EngineError("SESSION_NOT_FOUND", "Session not found.")
            if kept is None:
                kept = self._kept[session.key] = _Kept(self._connect(), time.monotonic())
            if not kept.lock.acquire(blocking=False):
                raise EngineError("SESSION_IS_LOCKED", "Session is locked by a concurrent client.")
            return kept

    def _expire(self) -> None:
        now = time.monotonic()
        for key, kept in list(self._kept.items()):
            if kept.expires < now and not kept.lock.locked():
                self._kept.pop(key).connection.close()
