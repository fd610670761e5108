"""News of rows: a client that waits for many of them is told which are stored, and need not ask for each."""

import asyncio
import contextlib
import json
import re
import threading
from collections.abc import AsyncIterator, Iterator

from t0dspy.stack.clickhouse.sql import InsertedRows

PATH = "/t0dspy/news"
"""Where they are asked for, with `?database=` a name: every other ClickHouse has nothing there, and says so."""
CONTENT_TYPE = "application/x-ndjson"
NOTHING = b"{}\n"
"""What a listener is sent first, and whenever there has been no news for `SILENCE`."""
SILENCE = 10.0
"""Seconds."""

_CHANGED = b'{"changed":true}\n'
_TABLE = re.compile(rb"\s*INSERT\s+INTO\s+(\w+)\s*", re.IGNORECASE)
_ID = re.compile(rb'\s*\{\s*"id"\s*:\s*"([\w-]+)"')
_MOST_UNREAD = 10_000
_USUAL_DATABASE = "default"


class News:
    """Tells listeners of each row that has been stored, in its table and in all of the table's views.

    A row is told of by the `id` that its JSON begins with, as those of TensorZero do; of several in one insertion it is
    the first. Nothing is told of rows that were being stored while a statement ran that may change tables: a listener
    hears that there was one, and can tell by this whether rows go where those before them went.
    """

    def __init__(self) -> None:
        """Nobody listens yet."""
        self._guard = threading.Lock()
        self._listeners: set[_Listener] = set()
        self._changing = 0
        self._closed = False
        self.generation = 0
        """Grows with every statement that may change tables, when it begins and when it ends."""

    def stored(self, database: str | None, rows: InsertedRows, *, since: int) -> None:
        """Tell of `rows`, which are stored; `since` is the generation in which their insertion began."""
        line = _line(rows) if self._listeners else None
        if line is None:
            return
        with self._guard:
            if self._changing or since != self.generation:
                return
            for listener in self._listeners:
                if listener.database == (database or _USUAL_DATABASE):
                    listener.put(line)

    @contextlib.contextmanager
    def change(self) -> Iterator[None]:
        """For the time of a statement that may change tables."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    async def lines(self, database: str | None) -> AsyncIterator[bytes]:
        """Lines of JSON: `{"table": ..., "id": ...}` of a row, `{"changed": true}`, or `{}`; ends with `close`."""
        listener = _Listener(database or _USUAL_DATABASE)
        with self._guard:
            self._listeners.add(listener)
        try:
            yield NOTHING
            while not self._closed and (lines := await listener.take()):
                yield lines
        finally:
            with self._guard:
                self._listeners.discard(listener)

    def close(self) -> None:
        """Let go of all listeners."""
        with self._guard:
            self._closed = True
            for listener in self._listeners:
                listener.put(NOTHING)

    def _count(self, step: int) -> None:
        with self._guard:
            self._changing += step
            self.generation += 1
            for listener in self._listeners:
                listener.put(_CHANGED)


class _Listener:
    """What one client has not been sent yet."""

    def __init__(self, database: str) -> None:
        self.database = database
        self._guard = threading.Lock()
        self._unread: list[bytes] = []
        self._loop, self._woken = asyncio.get_running_loop(), asyncio.Event()

    def put(self, line: bytes) -> None:
        """From any thread."""
        with self._guard:
            if len(self._unread) <= _MOST_UNREAD:
                self._unread.append(line)
            is_first = len(self._unread) == 1
        if is_first:
            with contextlib.suppress(RuntimeError):  # the loop has been closed
                self._loop.call_soon_threadsafe(self._woken.set)

    async def take(self) -> bytes:
        """What has come, `NOTHING` after a silence; empty if it is more than a client may leave unread."""
        try:
            await asyncio.wait_for(self._woken.wait(), SILENCE)
        except TimeoutError:
            return NOTHING
        self._woken.clear()
        with self._guard:
            lines, self._unread = self._unread, []
        return b"".join(lines) if len(lines) <= _MOST_UNREAD else b""


def _line(rows: InsertedRows) -> bytes | None:
    table, id = _TABLE.fullmatch(rows.head), _ID.match(rows.rows)
    if rows.format != "JSONEachRow" or table is None or id is None:
        return None
    return json.dumps({"table": table[1].decode(), "id": id[1].decode()}).encode() + b"\n"
