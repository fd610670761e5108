"""Wait until rows are stored in ClickHouse.

The gateway writes feedback in the background and ignores errors of its inserts, so its answer does not prove that a row
is stored. A `RowWatcher` queries the rows, or receives row events from the stack's own ClickHouse. Many requests share
a query: while one query runs, the ids for the next one are collected.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

import httpx

from chdb_http.row_events import STORING
from t0dspy.errors import GatewayError
from t0dspy.stack.gateway.listener import Listener

PATIENCE = 20.0
"""Seconds after which a missing row counts as not stored."""

# The views are keyed by the ids that a request knows, so these queries are fast however many rows there are.
_QUERIES = {
    "inference": "SELECT toString(uint_to_uuid(id_uint)) FROM InferenceById WHERE id_uint IN {keys:Array(UInt128)}",
    "model": "SELECT DISTINCT toString(inference_id) FROM ModelInference WHERE inference_id IN {ids:Array(UUID)}",
    "boolean": "SELECT toString(id) FROM BooleanMetricFeedbackByTargetId WHERE target_id IN {targets:Array(UUID)} "
    "AND id IN {ids:Array(UUID)}",
    "float": "SELECT toString(id) FROM FloatMetricFeedbackByTargetId WHERE target_id IN {targets:Array(UUID)} "
    "AND id IN {ids:Array(UUID)}",
    "comment": "SELECT toString(id) FROM CommentFeedbackByTargetId WHERE target_id IN {targets:Array(UUID)} "
    "AND id IN {ids:Array(UUID)}",
    "demonstration": "SELECT toString(id) FROM DemonstrationFeedbackByInferenceId "
    "WHERE inference_id IN {targets:Array(UUID)} AND id IN {ids:Array(UUID)}",
}
KINDS = frozenset(_QUERIES)
_TABLES = {
    "inference": ("ChatInference", "JsonInference"),
    "model": ("ModelInference",),
    "boolean": ("BooleanMetricFeedback",),
    "float": ("FloatMetricFeedback",),
    "comment": ("CommentFeedback",),
    "demonstration": ("DemonstrationFeedback",),
}
"""The tables of the rows themselves, which row events name. A query for an id must scan them."""
EARLY_TABLES = {table: "inference_id" if kind == "model" else "id" for kind in _TABLES for table in _TABLES[kind]}
"""The tables that the gateway writes with every call, each with the column that identifies a row in row events.

The embedded ClickHouse acknowledges their rows early. Views of feedback read inferences, so inferences come first.
"""
_BATCH = 200  # the ids are part of the URL, whose length is limited


class ClickHouse:
    """A client of ClickHouse's HTTP interface; its URL ends in the name of the database."""

    def __init__(self, url: str) -> None:
        given = httpx.URL(url)
        self.url = given.copy_with(userinfo=b"")
        """The URL without user and password, so that no error, log or traceback contains them."""
        self.auth = httpx.BasicAuth(given.username, given.password) if given.userinfo else None
        self.name = f"{self.url.host}:{self.url.port}"
        # trust_env=False, because the parts of a stack need no proxy
        self._http = httpx.AsyncClient(timeout=30.0, trust_env=False, auth=self.auth)

    async def column(self, sql: str, **parameters: str) -> list[str]:
        """Return the first column of a query's rows.

        Raises:
            GatewayError: ClickHouse does not answer or refuses the query; the message is ClickHouse's.
        """
        url = self.url.copy_merge_params({f"param_{name}": value for name, value in parameters.items()})
        try:
            answer = await self._http.post(url, content=f"{sql} FORMAT TabSeparated")
        except httpx.HTTPError as error:
            raise GatewayError(f"ClickHouse at {self.name} does not answer: {error!r}") from error
        if answer.status_code != 200:
            raise GatewayError(f"ClickHouse refused a query: {answer.text.strip()}")
        return [line.split("\t")[0] for line in answer.text.splitlines()]

    async def healthy(self) -> bool:
        """Return whether ClickHouse answers a query."""
        try:
            return await self.column("SELECT 1") == ["1"]
        except GatewayError:
            return False

    async def trouble(self) -> str:
        """Return why rows cannot be stored now; empty if no reason is known.

        The stack's own ClickHouse reports reasons in advance. For another ClickHouse, the only reason is no answer.
        """
        if not await self.healthy():
            return f"ClickHouse at {self.name} does not answer."
        try:
            answer = await self._http.get(self.url.copy_with(path=STORING))
        except httpx.HTTPError as error:
            return f"ClickHouse at {self.name} does not answer: {error!r}"
        return answer.text.strip() if answer.status_code == 503 else ""

    async def is_there(self) -> bool:
        """Return whether a server answers, with or without the database."""
        try:
            return (await self._http.get(self.url.join("/ping"))).status_code == 200
        except httpx.HTTPError:
            return False

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


@dataclass
class _Expected:
    id: str
    target: str
    deadline: float
    seen: asyncio.Future[bool] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class RowWatcher:
    """Waits for rows to be stored, by ClickHouse's row events or by queries for many rows at once."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        """Start to listen for row events. It needs a running event loop."""
        self._clickhouse = clickhouse
        self._listener = Listener(clickhouse.url, clickhouse.auth, _TABLES.values())
        self._expected: dict[str, list[_Expected]] = defaultdict(list)
        self._watchers: dict[str, asyncio.Task[None]] = {}

    async def wait_until_stored(self, kind: str, id: str, target: str = "") -> bool:
        """Wait until a row is stored; return False if it is not stored after `PATIENCE` seconds.

        Args:
            kind: the kind of row; a key of `_QUERIES`.
            id: the id of the row.
            target: for feedback, the id of its inference or episode.
        """
        # Workaround (tensorzero 2026.6): the gateway writes feedback in the background and ignores failed inserts;
        # remove when its answer waits for the insert.
        if await self._listener.wait_for_event(id, _TABLES[kind]):
            return True
        stored = await self._query_until_stored(kind, id, target)
        if stored:
            self._listener.confirm(id, _TABLES[kind])
        return stored

    async def close(self) -> None:
        """Stop listening for row events."""
        await self._listener.close()

    async def _query_until_stored(self, kind: str, id: str, target: str) -> bool:
        row = _Expected(id, target, time.monotonic() + PATIENCE)
        self._expected[kind].append(row)
        if kind not in self._watchers:
            self._watchers[kind] = asyncio.create_task(self._watch(kind))
        return await row.seen

    async def is_half_stored(self, kind: str, id: str) -> bool:
        """Return whether a row that is not in its view is in its table."""
        if kind == "model":  # its query reads the table itself
            return False
        queries = [f"SELECT 1 FROM {table} WHERE id = {{id:UUID}}" for table in _TABLES[kind]]  # noqa: S608  # ours
        try:
            return bool(await self._clickhouse.column(" UNION ALL ".join(queries), id=id))
        except GatewayError:
            return False

    async def _watch(self, kind: str) -> None:
        misses = 0
        while expected := self._expected.pop(kind, []):
            rows, later = expected[:_BATCH], expected[_BATCH:]
            started = time.monotonic()
            stored = await self._query_stored(kind, rows)
            waiting = [row for row in rows if not _settle(row, stored)]
            self._expected[kind] = later + self._expected[kind] + waiting
            misses = misses + 1 if len(waiting) == len(rows) else 0
            # Queries take at most half of the time: the pause is as long as the query, and grows with misses.
            await asyncio.sleep(min(max(time.monotonic() - started, 0.002) * (1 + misses), 0.1))
        del self._watchers[kind]

    async def _query_stored(self, kind: str, rows: list[_Expected]) -> set[str]:
        sql, parameters = look_up(kind, {row.id: row.target for row in rows})
        try:
            return set(await self._clickhouse.column(sql, **parameters))
        except GatewayError:
            return set()  # queried again until the deadline


def look_up(kind: str, rows: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return the query for the stored ones of `rows`, and its parameters.

    Args:
        kind: the kind of the rows.
        rows: the target of each row, by the row's id.
    """
    if kind == "inference":  # keys as plain numbers, because ClickHouse uses no index for computed keys
        return _QUERIES[kind], {"keys": _array(str(UUID(id).int) for id in rows)}
    ids, targets = (_array(f"'{id}'" for id in group) for group in (rows, set(rows.values())))
    return _QUERIES[kind], {"ids": ids, "targets": targets}


def _settle(row: _Expected, stored: set[str]) -> bool:
    if row.id not in stored and time.monotonic() < row.deadline:
        return False
    if not row.seen.done():  # it is done if the request was cancelled
        row.seen.set_result(row.id in stored)
    return True


def _array(values: Iterable[str]) -> str:
    return f"[{','.join(sorted(values))}]"
