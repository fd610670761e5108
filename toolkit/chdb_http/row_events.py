"""Send events about inserted rows, so that a client that waits for many rows does not have to query each of them."""

import asyncio
import contextlib
import json
import re
import threading
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping

from chdb_http.sql import InsertedRows

PATH = "/chdb_http/row-events"
"""The route of the events, with `?database=NAME`. A ClickHouse server answers 404 there."""
STORING = "/chdb_http/storage"
"""The route that answers 200 if rows can be stored now, or 503 with a reason."""
CONTENT_TYPE = "application/x-ndjson"
NOTHING = b"{}\n"
"""The first line that a listener receives; it is sent again after each `SILENCE` without an event."""
SILENCE = 10.0
"""Seconds."""

_CHANGED = b'{"changed":true}\n'
_TABLE = re.compile(rb"\s*INSERT\s+INTO\s+(\w+)\s*", re.IGNORECASE)
_FIRST = rb'\s*\{\s*(?:"id"\s*:\s*"[\w-]{1,64}"\s*,\s*)?"%b"\s*:\s*"([\w-]{1,64})"'
_ASYNC = re.compile(rb"\basync_insert\s*=\s*(?:1|'1'|true)\b", re.IGNORECASE)
_SETTING = re.compile(rb"(\w+)\s*=\s*([01])")
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
"""Settings that do not change which rows an insertion stores, and in which tables."""
_MOST_UNREAD = 10_000
USUAL_DATABASE = "default"


class RowEvents:
    """Sends an event to all listeners for each insertion of JSON rows that begin with the identifying column.

    The identifying column is `id`, or another one, which comes first or after `id`. An insertion of several rows is one
    event, which identifies the first row. Each statement that may have changed tables is an event too. A row is `sure`
    if no such statement ran during its insertion and no setting of the client changed where it was stored. Then it is
    in the same views as other sure rows of its table since the last such statement.
    """

    def __init__(self, columns: Mapping[str, str] | None = None) -> None:
        """Start without listeners. `columns` maps a table to its identifying column if that is not `id`."""
        self._guard, self._columns = threading.Lock(), columns or {}
        self._listeners: set[_Listener] = set()
        self.changing = 0
        """The number of running statements that may change tables."""
        self._closed = False
        self.generation = 0
        """A number that grows when a statement that may change tables begins, and when it ends."""

    def inserted(self, database: str | None, rows: InsertedRows, *, since: int | None) -> None:
        """Send an event about `rows`. `since` is the generation at the start of their insertion; None if not sure."""
        named = _named(rows, self._columns) if self._listeners else None
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
        """Mark the time of a statement that may change tables."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    async def lines(self, database: str | None) -> AsyncIterator[bytes]:
        """Yield lines of JSON until `close`: `table`, `id` and `sure` of a row, `{"changed":true}`, or `{}`."""
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
        """End the streams of all listeners."""
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
    """The lines that have not been sent to a client yet."""

    def __init__(self, database: str) -> None:
        self.database = database
        self._guard = threading.Lock()
        self._unread: list[bytes] = []
        self._loop, self._woken = asyncio.get_running_loop(), asyncio.Event()

    def put(self, line: bytes) -> None:
        """Add a line; any thread may call this."""
        with self._guard:
            if len(self._unread) <= _MOST_UNREAD:
                self._unread.append(line)
            is_first = len(self._unread) == 1
        if is_first:
            with contextlib.suppress(RuntimeError):  # the loop has been closed
                self._loop.call_soon_threadsafe(self._woken.set)

    async def take(self) -> bytes:
        """Return the new lines, `NOTHING` after `SILENCE`, or no bytes if the client left too many lines unread."""
        try:
            await asyncio.wait_for(self._woken.wait(), SILENCE)
        except TimeoutError:
            return NOTHING
        self._woken.clear()
        with self._guard:
            lines, self._unread = self._unread, []
        return b"".join(lines) if len(lines) <= _MOST_UNREAD else b""


def is_plain(settings: Iterable[str], rows: InsertedRows) -> bool:
    """Return whether no setting of the request or the statement changes which rows are stored, or where."""
    if not _SWITCHES.fullmatch(rows.settings):
        return False
    return _HARMLESS.issuperset(settings) and _HARMLESS.issuperset(switches(rows))


def switches(rows: InsertedRows) -> dict[str, str]:
    """Return the settings of a plain statement, each 0 or 1."""
    return {name.decode(): value.decode() for name, value in _SETTING.findall(rows.settings)}


def parse_table(rows: InsertedRows) -> str | None:
    """Return the table that `rows` go into, or None if the INSERT names more than a table."""
    table = _TABLE.fullmatch(rows.head)
    return table and table[1].decode()


def asks_for_async(rows: InsertedRows, settings: Mapping[str, str]) -> bool:
    """Return whether the client requested `async_insert` for rows of JSON."""
    asked = _ASYNC.search(rows.settings) is not None or settings.get("async_insert", "").lower() in ("1", "true")
    return asked and rows.format == "JSONEachRow"


def _named(rows: InsertedRows, columns: Mapping[str, str]) -> dict[str, str] | None:
    table = parse_table(rows)
    if rows.format != "JSONEachRow" or table is None:
        return None
    id = re.match(_FIRST % re.escape(columns.get(table, "id")).encode(), rows.rows)
    return {"table": table, "id": id[1].decode()} if id else None
