"""Rows in ClickHouse: which are there.

The gateway writes feedback in the background and swallows the errors of its inserts, so its answer alone proves
nothing. A `Witness` reads rows back, or hears of them where ClickHouse is the stack's own. Reads of many requests share
a query: while one query runs, the ids of the next gather.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

import httpx

from chdb_http.news import STORING
from t0dspy.errors import GatewayError
from t0dspy.stack.gateway.listener import Listener

PATIENCE = 20.0
"""Seconds after which a row that is not there counts as not written."""

# Views keyed by the id that a request knows: a look-up by key, however much is stored.
_QUERIES = {
    "inference": "SELECT toString(uint_to_uuid(id_uint)) FROM InferenceById WHERE id_uint IN {keys:Array(UInt128)}",
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
    "boolean": ("BooleanMetricFeedback",),
    "float": ("FloatMetricFeedback",),
    "comment": ("CommentFeedback",),
    "demonstration": ("DemonstrationFeedback",),
}
"""Where a row itself is: what ClickHouse tells of, or, for the row that no view knows, a scan."""
_BATCH = 200  # ids travel in the URL


class ClickHouse:
    """Queries over ClickHouse's HTTP interface; `url` ends in the database's name."""

    def __init__(self, url: str) -> None:
        given = httpx.URL(url)
        self.url = given.copy_with(userinfo=b"")
        """Without the user and the password, so that no error, log or traceback can hold them."""
        self.auth = httpx.BasicAuth(given.username, given.password) if given.userinfo else None
        self.name = f"{self.url.host}:{self.url.port}"
        # trust_env: no proxy between the parts of one stack
        self._http = httpx.AsyncClient(timeout=30.0, trust_env=False, auth=self.auth)

    async def column(self, sql: str, **parameters: str) -> list[str]:
        """The first column of a query's rows. Raises GatewayError with ClickHouse's words."""
        url = self.url.copy_merge_params({f"param_{name}": value for name, value in parameters.items()})
        try:
            answer = await self._http.post(url, content=f"{sql} FORMAT TabSeparated")
        except httpx.HTTPError as error:
            raise GatewayError(f"ClickHouse at {self.name} does not answer: {error!r}") from error
        if answer.status_code != 200:
            raise GatewayError(f"ClickHouse refused a query: {answer.text.strip()}")
        return [line.split("\t")[0] for line in answer.text.splitlines()]

    async def healthy(self) -> bool:
        """Whether it answers a query now."""
        try:
            return await self.column("SELECT 1") == ["1"]
        except GatewayError:
            return False

    async def trouble(self) -> str:
        """Why rows cannot be stored now; empty when they can, as far as the server says.

        Only the stack's own ClickHouse says so before a row is sent; another one is asked whether it answers.
        """
        if not await self.healthy():
            return f"ClickHouse at {self.name} does not answer."
        try:
            answer = await self._http.get(self.url.copy_with(path=STORING))
        except httpx.HTTPError as error:
            return f"ClickHouse at {self.name} does not answer: {error!r}"
        return answer.text.strip() if answer.status_code == 503 else ""

    async def is_there(self) -> bool:
        """Whether a server answers, with or without the database."""
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


class Witness:
    """Answers whether a row is stored: by what ClickHouse tells, else asking it for many rows at once."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        """Needs a running event loop."""
        self._clickhouse = clickhouse
        self._listener = Listener(
            clickhouse.url, clickhouse.auth, [table for tables in _TABLES.values() for table in tables]
        )
        self._expected: dict[str, list[_Expected]] = defaultdict(list)
        self._watchers: dict[str, asyncio.Task[None]] = {}

    async def saw(self, kind: str, id: str, target: str = "", *, listen: bool = True) -> bool:
        """True once the row is there, False when it has not come within `PATIENCE`. `kind` is one of `KINDS`.

        Without `listen`, ClickHouse is asked even if it has told of the row.
        """
        # Workaround (tensorzero 2026.6): the gateway writes feedback in the background and ignores failed inserts;
        # remove when its answer waits for the insert.
        if listen and await self._listener.heard(id, _TABLES[kind]):
            return True
        found = await self._found(kind, id, target)
        if found:
            self._listener.found(id)
        return found

    async def close(self) -> None:
        """Listen no more to what ClickHouse tells."""
        await self._listener.close()

    async def _found(self, kind: str, id: str, target: str) -> bool:
        row = _Expected(id, target, time.monotonic() + PATIENCE)
        self._expected[kind].append(row)
        if kind not in self._watchers:
            self._watchers[kind] = asyncio.create_task(self._watch(kind))
        return await row.seen

    async def is_half_stored(self, kind: str, id: str) -> bool:
        """Whether a row that `saw` did not see is in its table all the same."""
        looks = [f"SELECT 1 FROM {table} WHERE id = {{id:UUID}}" for table in _TABLES[kind]]  # noqa: S608  # ours
        try:
            return bool(await self._clickhouse.column(" UNION ALL ".join(looks), id=id))
        except GatewayError:
            return False

    async def _watch(self, kind: str) -> None:
        misses = 0
        while expected := self._expected.pop(kind, []):
            rows, later = expected[:_BATCH], expected[_BATCH:]
            started = time.monotonic()
            stored = await self._stored(kind, rows)
            waiting = [row for row in rows if not _settled(row, stored)]
            self._expected[kind] = later + self._expected[kind] + waiting
            misses = misses + 1 if len(waiting) == len(rows) else 0
            # No more than half of the time goes to looking: the pause is as long as the look, and grows with misses.
            await asyncio.sleep(min(max(time.monotonic() - started, 0.002) * (1 + misses), 0.1))
        del self._watchers[kind]

    async def _stored(self, kind: str, rows: list[_Expected]) -> set[str]:
        sql, parameters = look_up(kind, {row.id: row.target for row in rows})
        try:
            return set(await self._clickhouse.column(sql, **parameters))
        except GatewayError:
            return set()  # not seen; asked again until the deadline


def look_up(kind: str, rows: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The query for which of `rows`, id to target, are stored, and its parameters."""
    if kind == "inference":  # plain numbers: ClickHouse looks up no key that it has to compute
        return _QUERIES[kind], {"keys": _array(str(UUID(id).int) for id in rows)}
    ids, targets = (_array(f"'{one}'" for one in some) for some in (rows, set(rows.values())))
    return _QUERIES[kind], {"ids": ids, "targets": targets}


def _settled(row: _Expected, stored: set[str]) -> bool:
    if row.id not in stored and time.monotonic() < row.deadline:
        return False
    if not row.seen.done():  # its request may be gone
        row.seen.set_result(row.id in stored)
    return True


def _array(values: Iterable[str]) -> str:
    return f"[{','.join(sorted(values))}]"
