"""A write-ahead log: clients need not wait while the engine stores a row in a dozen tables."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from chdb_http import segment, sources, storing
from chdb_http.connection import Connection
from chdb_http.failure import EngineError, unexpected
from chdb_http.news import News
from chdb_http.segment import Segment
from chdb_http.sources import Source

log = logging.getLogger("chdb_http")

LINGER = 0.1
"""Seconds that a row waits for others to be stored with, unless somebody wants to read."""
_REST = 1.0  # seconds between two attempts of what failed
_MOST_WAITING = 1 << 23  # bytes; a client that brings more waits for the engine


class Journal:
    """Rows are put in a file, and a thread of its own has the engine store them, many at a time.

    Whoever is about to read must `settle` first: so nobody sees a difference, but for the time it takes.
    """

    def __init__(self, directory: Path, connect: Callable[[], Connection], news: News) -> None:
        """Begins to store what a process before has left in `directory`; EngineError if that cannot be read."""
        self._directory, self._connect, self._news = directory, connect, news
        self._changed = threading.Condition()
        self._looking = threading.Lock()  # one looks, and the others know what it saw
        self._sources: dict[tuple[str, str], tuple[int, Source | None]] = {}
        try:
            self._waiting = deque(segment.left(directory))
            self._number = segment.number(self._waiting[-1]) if self._waiting else 0
            self._open, self._number = segment.new(directory, self._number)
        except (OSError, ValueError) as error:
            raise EngineError("STD_EXCEPTION", f"Cannot read the rows kept in {directory}: {error}.", 1001) from error
        self._put, self._stored = sum(one.count for one in self._waiting), 0
        self._attempts = 0
        self._failure: EngineError | None = None
        self._wanted, self._closing = False, False
        self._beside = self._entering = 0
        self._complained = False
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def put(self, connection: Connection, database: str, name: str, rows: bytes) -> bool:
        """Whether `rows`, JSON by lines, are kept, so that their client may be told they are stored.

        If not, nothing has happened; they are to be given to the engine, `beside` the journal.
        """
        if name not in sources.NAMES or len(rows) > segment.LARGEST or rows.count(b"\n") >= segment.MOST:
            return False
        generation, source = self._known(connection, database, name)
        if source is None or not source.takes(rows):
            return False
        with self._changed:
            if self._closing or self._failure or self._size() + len(rows) > _MOST_WAITING:
                return False
            if self._news.changing or generation != self._news.generation or not self._is_kept(database, name, rows):
                return False
            self._put += 1
            self._changed.notify_all()
        return True

    @property
    def trouble(self) -> str:
        """Why the rows that wait cannot be stored now; empty when they can."""
        failure = self._failure
        return "" if failure is None or self._closing else failure.message

    def settle(self) -> None:
        """Return once everything that has been put is stored; EngineError if the engine cannot store it now."""
        with self._changed:
            wanted, attempts = self._put, self._attempts
            while self._stored < wanted:
                if self._failure is not None and (self._attempts > attempts or self._closing):
                    raise self._failure
                if not self._wanted:
                    self._wanted = True
                    self._changed.notify_all()
                self._changed.wait()

    @contextmanager
    def beside(self, name: str | None) -> Iterator[None]:
        """For the time of an insertion of rows into the table `name`, None if it is not known.

        What goes where the journal's rows go too takes turns with them, so that it can be told whose a new block is;
        what goes elsewhere comes after them, for its views may read them.

        Raises:
            EngineError: the engine cannot store what has been put before.
        """
        if name not in sources.NAMES:
            self.settle()
        if name is not None and not self._is_watched(name):
            yield
            return
        self._enter()
        try:
            yield
        finally:
            with self._changed:
                self._beside -= 1
                self._changed.notify_all()

    def close(self) -> None:
        """Store what waits, and take no more; what the engine does not take now is stored at the next start."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()

    def _enter(self) -> None:
        with self._changed:
            self._entering += 1
            self._changed.wait_for(lambda: self._failure is not None or not self._waiting)
            self._entering -= 1
            self._changed.notify_all()
            if self._failure is not None:
                raise self._failure
            self._beside += 1

    def _is_kept(self, database: str, name: str, rows: bytes) -> bool:
        try:
            self._open.add(database, name, rows)
        except OSError as error:
            if not self._complained:
                log.warning("Rows wait for ClickHouse, for they cannot be kept: %s", error)
            self._complained = True
            return False
        self._complained = False
        return True

    def _known(self, connection: Connection, database: str, name: str) -> tuple[int, Source | None]:
        """The table as it is since a generation of the news."""
        with self._looking:
            generation = self._news.generation
            known = self._sources.get((database, name))
            if known is None or known[0] != generation:
                known = self._sources[database, name] = generation, sources.read(connection, database, name)
            return known

    def _source(self, connection: Connection, database: str, name: str) -> Source | None:
        return self._known(connection, database, name)[1]

    def _is_watched(self, name: str) -> bool:
        if name in sources.NAMES:
            return True
        return any(source is not None and name in source.tables for _, source in list(self._sources.values()))

    def _size(self) -> int:
        return self._open.size + sum(one.size for one in self._waiting)

    def _run(self) -> None:
        try:
            while self._next():
                try:
                    self._store(self._waiting[0])
                except Exception as error:
                    self._failed(_failure_of(error))
                else:
                    self._done()
        except Exception as bug:
            self._give_up(unexpected(bug))

    def _store(self, first: Segment) -> None:
        connection = self._connect()
        try:
            storing.store(first, connection, self._source)
        finally:
            connection.close()
        first.remove()

    def _next(self) -> bool:
        """Whether there is something to store; it is what waits first, and nobody else stores where it goes."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._open.count or self._closing)
            if not (self._waiting or self._open.count) or (self._closing and self._failure):
                return False
            if not self._waiting:
                self._changed.wait_for(lambda: self._wanted or self._closing or self._is_large(), LINGER)
                self._changed.wait_for(lambda: not self._entering)
            self._wanted = False
            if self._open.count:
                self._waiting.append(self._open)
                self._open, self._number = segment.new(self._directory, self._number)
            self._changed.wait_for(lambda: self._beside == 0 or self._closing)
            if self._beside:  # they may be killed before they are done
                self._give_up(EngineError("QUERY_WAS_CANCELLED", "The server stops, and stores rows that wait later."))
            return self._beside == 0

    def _is_large(self) -> bool:
        return self._size() > _MOST_WAITING // 4

    def _done(self) -> None:
        with self._changed:
            self._failure = None
            self._attempts += 1
            self._stored += self._waiting.popleft().count
            self._changed.notify_all()

    def _failed(self, failure: EngineError) -> None:
        with self._changed:
            if self._failure is None:
                log.error("Rows in %s cannot be stored, and will be tried again: %s", self._directory, failure)
            self._failure = failure
            self._attempts += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._closing, _REST)

    def _give_up(self, failure: EngineError) -> None:
        with self._changed:
            self._failure, self._closing = failure, True
            self._changed.notify_all()


def _failure_of(error: Exception) -> EngineError:
    if isinstance(error, EngineError):
        return EngineError(error.name, f"Rows that wait to be stored cannot be: {error.message}", error.code)
    if isinstance(error, OSError):
        return EngineError("STD_EXCEPTION", f"Rows that wait to be stored cannot be: {error}.", 1001)
    return unexpected(error)
