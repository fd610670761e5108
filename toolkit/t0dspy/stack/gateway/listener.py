"""Receive news of stored rows from the stack's ClickHouse. Any other ClickHouse must be queried for its rows."""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NamedTuple, TypeGuard

import httpx

from chdb_http.row_events import CONTENT_TYPE, PATH

PATIENCE = 0.5
"""Seconds to wait for news of a row before its table is queried."""

_PAUSE = 1.0
_MOST_KEPT = 10_000


class Listener:
    """Keeps the news of stored rows that ClickHouse sends.

    News of a row counts only if a query has found an earlier row of the same table after its news, if both pieces of
    news are sure, and if no statement that may have changed tables has run since then.
    """

    def __init__(self, url: httpx.URL, auth: httpx.BasicAuth | None, groups: Iterable[tuple[str, ...]]) -> None:
        """Start to listen for rows in the database that `url` ends in. It needs a running event loop.

        `groups` are the tables that a row may be in. The same id may identify a row in each group.
        """
        self._auth = auth
        self._url = url.copy_with(path=PATH).copy_merge_params({"database": url.path.strip("/") or "default"})
        self._groups = {table: group for group in groups for table in group}
        self._news: OrderedDict[_Row, _News] = OrderedDict()
        self._confirmed: set[str] = set()
        self._changes = 0
        self._waiting: dict[_Row, asyncio.Future[None]] = {}
        self.connected = False
        """Whether ClickHouse sends news."""
        self._task = asyncio.get_running_loop().create_task(self._listen())

    async def wait_until_stored(self, id: str, group: tuple[str, ...]) -> bool:
        """Wait for news of a row, and return whether it is known to be stored in a table of `group`.

        False means that it is not known: the news may come later, or ClickHouse sends none.
        """
        if self.connected and (group, id) not in self._news:
            await self._wait_for_news((group, id))
        news = self._news.get((group, id))
        return self._is_fresh(news) and news.table in self._confirmed

    def confirm(self, id: str, group: tuple[str, ...]) -> None:
        """Note that a query has found the row, so that later news of its table counts."""
        news = self._news.get((group, id))
        if self._is_fresh(news):
            self._confirmed.add(news.table)

    async def close(self) -> None:
        """Stop listening."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    def _is_fresh(self, news: "_News | None") -> TypeGuard["_News"]:
        return news is not None and news.sure and news.changes == self._changes

    async def _wait_for_news(self, row: "_Row") -> None:
        news = self._waiting.setdefault(row, asyncio.get_running_loop().create_future())
        try:
            await asyncio.wait({news}, timeout=PATIENCE)
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
                    for news in self._waiting.values():
                        _wake(news)
                await asyncio.sleep(_PAUSE)

    async def _receive(self, http: httpx.AsyncClient) -> bool:
        """Receive news until the connection ends; return False if this ClickHouse does not send news."""
        async with http.stream("GET", self._url) as answer:
            if answer.status_code >= 500:
                return True
            if answer.status_code != 200 or answer.headers.get("content-type") != CONTENT_TYPE:
                return False
            async for line in answer.aiter_lines():
                self._handle(_parse(line))
                self.connected = True
        return True

    def _handle(self, news: dict[str, Any]) -> None:
        if news.get("changed"):
            self._forget()
        elif group := self._groups.get(news.get("table", "")):
            row = group, news["id"]
            self._news[row] = _News(news["table"], news["sure"], self._changes)
            if row in self._waiting:
                _wake(self._waiting[row])
            if len(self._news) > _MOST_KEPT:
                self._news.popitem(last=False)

    def _forget(self) -> None:
        """Invalidate all news and confirmations so far."""
        self._changes += 1
        self._confirmed.clear()


_Row = tuple[tuple[str, ...], str]


class _News(NamedTuple):
    """News of a row."""

    table: str
    sure: bool
    changes: int
    """The number of invalidations before this news."""


def _parse(line: str) -> dict[str, Any]:
    news = json.loads(line)
    if not isinstance(news, dict) or ("table" in news and not news.keys() >= {"id", "sure"}):
        raise ValueError(line)
    return news


def _wake(waiting: "asyncio.Future[None]") -> None:
    if not waiting.done():
        waiting.set_result(None)
