"""A write-ahead log, so that clients do not wait while the engine stores a row in a dozen tables."""

import errno
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chdb_http import early_tables, replay, set_aside
from chdb_http.connection import Connection
from chdb_http.early_tables import Checker, EarlyTable
from chdb_http.engine_error import EngineError, internal_error
from chdb_http.part_checker import PartChecker
from chdb_http.query import Counts
from chdb_http.row_events import RowEvents
from chdb_http.segment import MOST, NAME, Entry, Segment

log = logging.getLogger("chdb_http")

LINGER = 0.1
"""Seconds that a row waits so that it is stored together with others, unless a statement needs it earlier."""
_FULL = (errno.ENOSPC, errno.EDQUOT)
_PAUSE = 1.0  # seconds between two attempts
_IDLE = 5.0  # seconds without rows between two checks for a full disk
_LARGEST, _MOST_WAITING = 1 << 22, 1 << 23  # bytes; larger insertions are stored by the engine at once


class WriteLog:
    """Writes rows to a file, from which a thread stores them in the engine, many at a time.

    A reader must call `settle` first. Then it reads the same as if the engine had stored each row immediately.
    """

    def __init__(
        self,
        directory: Path,
        connect: Callable[[], Connection],
        events: RowEvents,
        names: Sequence[str],
        *,
        restore: bool,
    ) -> None:
        """Begin to store the rows that an earlier process left. Raises EngineError if they cannot be read.

        Args:
            directory: The directory of the log.
            connect: Opens a connection to the engine.
            events: Counts statements that may change tables.
            names: The tables whose rows are acknowledged early. The views of a table may read the tables before it.
            restore: Whether to store the refused rows again.
        """
        self._directory, self._connect, self._events, self._names = directory, connect, events, tuple(names)
        self._changed, self._describing = threading.Condition(), threading.Lock()
        self._tables: dict[tuple[str, str], _Known] = {}
        self._part_checker = PartChecker(directory)
        try:
            self._waiting = deque(_left_behind(directory, restore))
            self._open = Segment.after(directory, self._waiting[-1].number if self._waiting else 0)
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise EngineError("STD_EXCEPTION", f"Cannot read the rows in {directory}: {error}.", 1001) from error
        self._attempts = 0
        self.stuck: EngineError | None = None
        """Why acknowledged rows cannot be stored now, or None if they can."""
        self._wanted = self._closing = self._closed = self._complained = False
        self._beside = self._entering = 0
        self._thread = threading.Thread(target=self._run, name="write-ahead-log", daemon=True)
        self._thread.start()

    @property
    def trouble(self) -> str:
        """Why waiting rows cannot be stored now; empty if they can."""
        stuck = self.stuck
        return "" if stuck is None or self._closing else stuck.message

    def put(self, entry: Entry) -> Counts | None:
        """Write an insertion to the log, and return its counts for the response to the client.

        Return None if nothing was written; then the engine must store it within `beside`. Raises EngineError if the
        disk is full.
        """
        size, lines = len(entry.rows), entry.rows.count(b"\n")
        if entry.table not in self._names or size > _LARGEST or lines >= MOST:
            return None
        known = self._known(entry.database, entry.table)
        if known.checker is None:
            return None
        try:
            counts = known.checker.check(entry)
        except EngineError:
            return None
        with self._changed:
            if self._closing or self.stuck or self._size() + size > _MOST_WAITING:
                return None
            if self._events.changing or known.generation != self._events.generation or not self._is_written(entry):
                return None
            self._changed.notify_all()
        return counts

    def settle(self) -> None:
        """Wait until all logged rows are stored. Raises EngineError if the engine cannot store them now."""
        with self._changed:
            last, attempts = self._open.number - (not self._open.lines), self._attempts
            while (self._waiting or [self._open])[0].number <= last:
                if self.stuck is not None and (self._attempts > attempts or self._closing):
                    raise self.stuck
                if not self._wanted:
                    self._wanted = True
                    self._changed.notify_all()
                self._changed.wait()

    @contextmanager
    def beside(self, name: str | None) -> Iterator[None]:
        """Provide the time for an insertion that is not logged, into the table `name`; None if the table is unknown.

        All rows that were logged before are stored first. If the insertion may write to the log's tables, the log
        stores nothing during it, because the log identifies its blocks by their numbers. Raises EngineError if the
        engine cannot store the logged rows.
        """
        self.settle()
        if name is not None and not self._is_watched(name):
            yield
            return
        with self._changed:
            self._entering += 1
            self._changed.wait_for(lambda: self.stuck is not None or not self._waiting)
            self._entering -= 1
            self._changed.notify_all()
            if self.stuck is not None:
                raise self.stuck
            self._beside += 1
        try:
            yield
        finally:
            with self._changed:
                self._beside -= 1
                self._changed.notify_all()

    def close(self) -> None:
        """Store the waiting rows, and accept no more. The next start stores rows that cannot be stored now."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        with self._describing:
            for known in self._tables.values():
                if known.checker:
                    known.checker.close()
            self._closed = True

    def _is_written(self, entry: Entry) -> bool:
        try:
            if self._open.lines and not self._open.takes(entry):
                self._rotate()
            self._open.add(entry)
        except OSError as error:
            if error.errno in _FULL:  # the engine might store the row in its table, but not in its views
                raise EngineError(
                    "NOT_ENOUGH_SPACE", f"The write-ahead log cannot be written: {error}.", 243
                ) from error
            if not self._complained:
                log.warning("The write-ahead log cannot be written, so clients wait for ClickHouse: %s", error)
            self._complained = True
            return False
        self._complained = False
        return True

    def _known(self, database: str, name: str) -> "_Known":
        """Return the description of a table after the last statement that may have changed it."""
        with self._describing:
            if self._closed:  # a connection would outlive the engine
                return _Known(0, None, None)
            known = self._tables.get((database, name))
            if known is None or known.generation != self._events.generation:
                if known and known.checker:
                    known.checker.close()
                known = self._tables[database, name] = self._look_at(database, name)
            return known

    def _look_at(self, database: str, name: str) -> "_Known":
        generation, connection = self._events.generation, self._connect()
        try:
            table = early_tables.describe(connection, database, name, self._names)
        finally:
            connection.close()
        return _Known(generation, table, Checker(self._connect(), database, name) if table else None)

    def _is_watched(self, name: str) -> bool:
        known = [known.table for known in list(self._tables.values()) if known.table]
        return name in self._names or any(name in table.engines for table in known)

    def _size(self) -> int:
        return self._open.size + sum(segment.size for segment in self._waiting)

    def _run(self) -> None:
        try:
            while self._next():
                try:
                    self._store(self._waiting[0])
                    self._waiting[0].remove()
                except Exception as error:
                    self._fail(_failure_of(error))
                else:
                    self._finish()
        except Exception as bug:
            self._give_up(internal_error(bug))

    def _store(self, segment: Segment) -> None:
        replay.store(segment, self._connect, lambda *name: self._known(*name).table, self._names, self._part_checker)

    def _next(self) -> bool:
        """Wait for rows to store; return False at the end. No other insertion into their tables runs then."""
        with self._changed:
            while not self._changed.wait_for(lambda: self._waiting or self._open.lines or self._closing, _IDLE):
                self._check_merges()
            if not (self._waiting or self._open.lines) or (self._closing and self.stuck):
                return False
            self._changed.wait_for(lambda: self._waiting or self._wanted or self._closing, LINGER)
            if not self._waiting:
                self._changed.wait_for(lambda: not self._entering)
                self._rotate()
            self._wanted = False
            self._changed.wait_for(lambda: self._beside == 0 or self._closing)
            if self._beside:  # the process may be killed before these insertions end
                self._give_up(EngineError("QUERY_WAS_CANCELLED", "The next start stores the waiting rows."))
            return self._beside == 0

    def _check_merges(self) -> None:
        """Check new parts although no rows arrive, because a merge may have met a full disk."""
        if self._beside or not self._part_checker.is_needed():
            return
        connection = self._connect()
        try:
            for table in [known.table for known in self._tables.values() if known.table]:
                self._part_checker.reload_broken(connection, table.database, tuple(table.engines))
        except EngineError as failure:
            log.warning("The parts of tables cannot be checked now: %s", failure)
        finally:
            connection.close()

    def _rotate(self) -> None:
        self._waiting.append(self._open)
        self._open = Segment.after(self._directory, self._open.number)

    def _finish(self) -> None:
        with self._changed:
            self.stuck = None
            self._attempts += 1
            self._waiting.popleft()
            self._changed.notify_all()

    def _fail(self, failure: EngineError) -> None:
        with self._changed:
            if self.stuck is None:
                log.error("Rows in %s cannot be stored, and will be tried again: %s", self._directory, failure)
            self.stuck = failure
            self._attempts += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._closing, _PAUSE)

    def _give_up(self, failure: EngineError) -> None:
        with self._changed:
            self.stuck, self._closing = failure, True
            self._changed.notify_all()


@dataclass(frozen=True)
class _Known:
    generation: int
    """The generation of the row events in which the table was described."""
    table: EarlyTable | None
    checker: Checker | None


def _left_behind(directory: Path, restore: bool) -> list[Segment]:
    directory.mkdir(exist_ok=True)
    if old := sorted(directory.glob("*.rows")):
        raise ValueError(
            f"{', '.join(path.name for path in old)} were written by an earlier version of t0dspy. Start that version "
            "once with this directory, and stop it with Ctrl-C, so that it stores them. To discard these rows, delete "
            "the files"
        )
    if restore:
        set_aside.restore(directory)
    segments = [Segment(path) for path in sorted(directory.iterdir()) if NAME.fullmatch(path.name)]
    for segment in segments:
        set_aside.keep_damaged(segment)
    for sentence in set_aside.report(directory):
        log.warning(sentence)
    return segments


def _failure_of(error: Exception) -> EngineError:
    if isinstance(error, EngineError):
        return EngineError(error.name, f"Rows that wait to be stored cannot be: {error.message}", error.code)
    if isinstance(error, OSError):
        return EngineError("STD_EXCEPTION", f"Rows that wait to be stored cannot be: {error}.", 1001)
    return internal_error(error)
