"""News of rows: a client that waits for many of them is told which are stored, and need not ask for each."""

import asyncio
import contextlib
import json
import re
import threading
from collections.abc import AsyncIterator, Iterable, Iterator

from chdb_http.sql import InsertedRows

PATH = "/t0dspy/news"
"""Where they are asked for, with `?database=` a name: every other ClickHouse has nothing there, and says so."""
STORING = "/t0dspy/storing"
"""Where a client asks whether rows can be stored now: 200, or 503 with a reason."""
CONTENT_TYPE = "application/x-ndjson"
NOTHING = b"{}\n"
"""What a listener is sent first, and whenever there has been no news for `SILENCE`."""
SILENCE = 10.0
"""Seconds."""

_CHANGED = b'{"changed":true}\n'
_TABLE = re.compile(rb"\s*INSERT\s+INTO\s+(\w+)\s*", re.IGNORECASE)
_ID = re.compile(rb'\s*\{\s*"id"\s*:\s*"([\w-]{1,64})"')
_SETTING = re.compile(rb"(\w+)\s*=")
_SWITCHES = re.compile(rb"\s*(?:SETTINGS\s+\w+\s*=\s*[01]\s*(?:,\s*\w+\s*=\s*[01]\s*)*)?", re.IGNORECASE)
_HARMLESS = frozenset(
    (
        "async_insert",
        "wait_for_async_insert",
        "input_format_skip_unknown_fields",
        "input_format_null_as_default",
        "output_format_json_quote_64bit_integers",
        "log_comment",
    )
)
"""Settings of an insertion that have no say in which rows are stored, and in which tables."""
_MOST_UNREAD = 10_000
USUAL_DATABASE = "default"


class News:
    """Tells listeners of rows that have been inserted, where their JSON begins with their `id` as TensorZero's does.

    Of several rows in one insertion it is the first. A listener also hears of every statement that may have changed
    tables. A row is `sure` if none ran during its insertion, and no setting of the client's had a say: then it was
    stored, and went into the same views, as other sure rows of its table since the last such statement.
    """

    def __init__(self) -> None:
        """Nobody listens yet."""
        self._guard = threading.Lock()
        self._listeners: set[_Listener] = set()
        self.changing = 0
        """How many statements run that may change tables."""
        self._closed = False
        self.generation = 0
        """Grows with every statement that may change tables, when it begins and when it ends."""

    def inserted(self, database: str | None, rows: InsertedRows, *, since: int | None) -> None:
        """Tell of `rows`; `since` is the generation in which their insertion began, None if they cannot be sure."""
        named = _named(rows) if self._listeners else None
        if named is None:
            return
        with self._guard:
            sure = not self.changing and since == self.generation
            line = json.dumps({**named, "sure": sure}, separators=(",", ":")).encode() + b"\n"
            for listener in self._listeners:
                if listener.database == (database or USUAL_DATABASE):
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
        """Lines of JSON: `table`, `id` and `sure` of a row, `{"changed":true}`, or `{}`. They end with `close`."""
        listener = _Listener(database or USUAL_DATABASE)
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
            self.changing += step
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


def is_plain(settings: Iterable[str], rows: InsertedRows) -> bool:
    """Whether neither the `settings` of a request nor the statement's own can keep a row from where it belongs."""
    if not _SWITCHES.fullmatch(rows.settings):
        return False
    own = (name.decode() for name in _SETTING.findall(rows.settings))
    return _HARMLESS.issuperset(settings) and _HARMLESS.issuperset(own)


def table_of(rows: InsertedRows) -> str | None:
    """The table that `rows` go into, where the statement says no more than its name."""
    table = _TABLE.fullmatch(rows.head)
    return table and table[1].decode()


def _named(rows: InsertedRows) -> dict[str, str] | None:
    table, id = table_of(rows), _ID.match(rows.rows)
    if rows.format != "JSONEachRow" or table is None or id is None:
        return None
    return {"table": table, "id": id[1].decode()}
