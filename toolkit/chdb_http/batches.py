"""Rows of many clients stored as one block: what a ClickHouse server does for `async_insert`."""

import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from chdb_http.connection import Setup
from chdb_http.failure import EngineError, unexpected
from chdb_http.query import Counts
from chdb_http.sql import InsertedRows

Store = Callable[[InsertedRows], Counts]

_ASKED = re.compile(rb"\basync_insert\s*=\s*(?:1|'1'|true)\b", re.IGNORECASE)
_ON = ("1", "true")
_LARGEST_ROW = 1 << 16  # bytes; larger rows are worth a block of their own
_LARGEST_BATCH = 1 << 19  # bytes; far fewer rows than the engine stores at a time, so a batch is stored whole or not


@dataclass
class _Waiting:
    rows: InsertedRows
    turn: threading.Event = field(default_factory=threading.Event)
    batch: "list[_Waiting]" = field(default_factory=list)
    """What to store, for the one whose turn it is; empty for one whose rows another has stored."""
    outcome: Counts | EngineError | None = None


class Batches:
    """Keeps rows back while others for the same table are being stored, then stores all that came in one block.

    Every insertion makes a part in the table and in each of its views; a block of sixteen rows costs the engine
    about twice as much as a block of one. Who comes alone does not wait.
    """

    def __init__(self) -> None:
        """Nobody waits yet."""
        self._guard = threading.Lock()
        self._waiting: dict[Any, list[_Waiting]] = {}

    def store(self, rows: InsertedRows, setup: Setup, store: Store) -> Counts:
        """Counts for `rows`, once they are stored; `store` stores rows on a connection that is set up as `setup`.

        Of rows that were stored with others', the counts leave out what views made of them: nobody knows whose it was.

        Raises:
            EngineError: the engine refused them. What is wrong with other rows is none of theirs, unless the engine
                failed after it had begun to store.
        """
        lane, mine = (setup, rows.statement, rows.format), _Waiting(rows)
        with self._guard:
            ahead = self._waiting.get(lane)
            if ahead is None:
                self._waiting[lane] = []
                mine.batch = [mine]
            else:
                ahead.append(mine)
        if not mine.batch:
            mine.turn.wait()
        if mine.batch:
            try:
                _store_all(mine.batch, store)
            finally:
                self._wake_next(lane)
        return _result(mine)

    def _wake_next(self, lane: Any) -> None:
        with self._guard:
            waiting = self._waiting[lane]
            batch = _first_of(waiting)
            if not batch:
                del self._waiting[lane]
                return
            del waiting[: len(batch)]
        batch[0].batch = batch
        batch[0].turn.set()


def may_wait(rows: InsertedRows, settings: Mapping[str, str]) -> bool:
    """Whether the client asked for `async_insert`, of rows of JSON."""
    asked = _ASKED.search(rows.settings) is not None or settings.get("async_insert", "").lower() in _ON
    return asked and rows.format == "JSONEachRow"


def is_one_small(rows: InsertedRows) -> bool:
    """Whether `rows`, of JSON, are one and small."""
    if len(rows.rows) > _LARGEST_ROW:
        return False
    try:
        return isinstance(json.loads(rows.rows), dict)
    except (ValueError, RecursionError):
        return False


def _first_of(waiting: list[_Waiting]) -> list[_Waiting]:
    batch: list[_Waiting] = []
    size = 0
    for one in waiting:
        size += len(one.rows.rows)
        if batch and size > _LARGEST_BATCH:
            break
        batch.append(one)
    return batch


def _store_all(batch: list[_Waiting], store: Store) -> None:
    try:
        if not _stored_together(batch, store):
            for one in batch:
                one.outcome = _stored(one.rows, store)
    except Exception as bug:
        failure = unexpected(bug)
        for one in batch:
            one.outcome = one.outcome or failure
    for one in batch[1:]:
        one.turn.set()


def _stored_together(batch: list[_Waiting], store: Store) -> bool:
    """Whether the batch has its outcome; if not, nothing of it has been stored."""
    if len(batch) == 1:
        return False
    counts = _stored(replace(batch[0].rows, rows=b"\n".join(one.rows.rows for one in batch)), store)
    if isinstance(counts, EngineError) and counts.before_storing:
        return False
    for one in batch:
        one.outcome = counts if isinstance(counts, EngineError) else counts_of(one.rows, elapsed_ns=counts.elapsed_ns)
    return True


def _stored(rows: InsertedRows, store: Store) -> Counts | EngineError:
    try:
        return store(rows)
    except EngineError as failure:
        return failure


def counts_of(rows: InsertedRows, count: int = 1, elapsed_ns: int = 0) -> Counts:
    """What is told of rows whose part in what the engine counts is not known."""
    size = len(rows.rows)
    return Counts(count, size, count, size, count, size, elapsed_ns)


def _result(mine: _Waiting) -> Counts:
    if isinstance(mine.outcome, Counts):
        return mine.outcome
    raise mine.outcome or EngineError("QUERY_WAS_CANCELLED", "The server stopped before the rows were stored.")
