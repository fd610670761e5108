"""Receive row events from the stack's ClickHouse. Any other ClickHouse must be queried for its rows."""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NamedTuple, TypeGuard

import httpx

from chdb_http.row_events import CONTENT_TYPE, PATH

EVENT_PATIENCE = 0.5
"""Seconds to wait for a row's event before its table is queried."""

_PAUSE = 1.0
_MOST_KEPT = 10_000


class Listener:
    """Keeps the row events that ClickHouse sends.

    The event of a row counts only if a query has found an earlier row of the same table after that row's event, if both
    events are sure, and if no statement that may have changed tables has run since then.
    """

    def __init__(self, url: httpx.URL, auth: httpx.BasicAuth | None, groups: Iterable[tuple[str, ...]]) -> None:
        """Start to listen for rows in the database that `url` ends in. It needs a running event loop.

        `groups` are the tables that a row may be in. The same id may identify a row in each group.
        """
        self._auth = auth
        self._url = url.copy_with(path=PATH).copy_merge_params({"database": url.path.strip("/") or "default"})
        self._groups = {table: group for group in groups for table in group}
        self._events: OrderedDict[_Row, _Event] = OrderedDict()
        self._confirmed: set[str] = set()
        self._changes = 0
        self._waiting: dict[_Row, asyncio.Future[None]] = {}
        self.connected = False
        """Whether ClickHouse sends row events."""
        self._task = asyncio.get_running_loop().create_task(self._listen())

    async def wait_for_event(self, id: str, group: tuple[str, ...]) -> bool:
        """Wait for the event of a row, and return whether it is known to be stored in a table of `group`.

        False means that it is not known: the event may come later, or ClickHouse sends none.
        """
        if self.connected and (group, id) not in self._events:
            await self._wait((group, id))
        event = self._events.get((group, id))
        return self._is_fresh(event) and event.table in self._confirmed

    def confirm(self, id: str, group: tuple[str, ...]) -> None:
        """Note that a query has found the row, so that later events of its table count."""
        event = self._events.get((group, id))
        if self._is_fresh(event):
            self._confirmed.add(event.table)

    async def close(self) -> None:
        """Stop listening."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    def _is_fresh(self, event: "_Event | None") -> TypeGuard["_Event"]:
        return event is not None and event.sure and event.changes == self._changes

    async def _wait(self, row: "_Row") -> None:
        arrived = self._waiting.setdefault(row, asyncio.get_running_loop().create_future())
        try:
            await asyncio.wait({arrived}, timeout=EVENT_PATIENCE)
        finally:
            self._waiting.pop(row, None)

    async def _listen(self) -> None:
        # trust_env=False, because the parts of a stack need no proxy
        async with httpx.AsyncClient(timeout=30.0, trust_env=False, auth=self._auth) as http:
            supported = True
            while supported:
                try:
                    supported = await self._receive(http)
                except (httpx.HTTPError, ValueError):  # ClickHouse is starting
                    supported = True
                finally:
                    self.connected = False
                    self._forget()
                    for waiting in self._waiting.values():
                        _wake(waiting)
                await asyncio.sleep(_PAUSE)

    async def _receive(self, http: httpx.AsyncClient) -> bool:
        """Receive events until the connection ends; return False if this ClickHouse does not send events."""
        async with http.stream("GET", self._url) as answer:
            if answer.status_code >= 500:
                return True
            if answer.status_code != 200 or answer.headers.get("content-type") != CONTENT_TYPE:
                return False
            async for line in answer.aiter_lines():
                self._handle(_parse(line))
                self.connected = True
        return True

    def _handle(self, event: dict[str, Any]) -> None:
        if event.get("changed"):
            self._forget()
        elif group := self._groups.get(event.get("table", "")):
            row = group, event["id"]
            self._events[row] = _Event(event["table"], event["sure"], self._changes)
            if row in self._waiting:
                _wake(self._waiting[row])
            if len(self._events) > _MOST_KEPT:
                self._events.popitem(last=False)

    def _forget(self) -> None:
        """Invalidate all events and confirmations so far."""
        self._changes += 1
        self._confirmed.clear()


_Row = tuple[tuple[str, ...], str]


class _Event(NamedTuple):
    """The event of a row."""

    table: str
    sure: bool
    changes: int
    """The number of invalidations before this event."""


def _parse(line: str) -> dict[str, Any]:
    event = json.loads(line)
    if not isinstance(event, dict) or ("table" in event and not event.keys() >= {"id", "sure"}):
        raise ValueError(line)
    return event


def _wake(waiting: "asyncio.Future[None]") -> None:
    if not waiting.done():
        waiting.set_result(None)
