"""Hearing from the stack's own ClickHouse which rows it has stored; any other ClickHouse has to be asked."""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Collection
from contextlib import suppress
from typing import Any, NamedTuple, TypeGuard

import httpx

from chdb_http.news import CONTENT_TYPE, PATH

PATIENCE = 0.5
"""Seconds to wait for news of a row; then its table is asked."""

_PAUSE = 1.0
_MOST_KEPT = 10_000


class Listener:
    """Knows which rows are stored, as far as ClickHouse has told of them.

    That a row is stored is believed where a row of the same table, told of before, was found by a query, both are sure,
    and no statement has run since that may have changed tables: then it lies where that one lay.
    """

    def __init__(self, url: httpx.URL, auth: httpx.BasicAuth | None, tables: Collection[str]) -> None:
        """Listens from now on, for rows of `tables` in the database that `url` ends in; needs a running event loop."""
        self._auth = auth
        self._url = url.copy_with(path=PATH).copy_merge_params({"database": url.path.strip("/") or "default"})
        self._tables = frozenset(tables)
        self._told: OrderedDict[str, _Told] = OrderedDict()
        self._believed: set[str] = set()
        self._changes = 0
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self.hears = False
        """Whether there is somebody who tells."""
        self._task = asyncio.get_running_loop().create_task(self._listen())

    async def heard(self, id: str, tables: Collection[str]) -> bool:
        """Whether the row is known to be stored in one of `tables`; False may be too early, or that nobody tells."""
        if self.hears and id not in self._told:
            await self._news_of(id)
        told = self._told.get(id)
        return self._is_fresh(told) and told.table in self._believed and told.table in tables

    def found(self, id: str) -> None:
        """A query has found the row where it belongs."""
        told = self._told.get(id)
        if self._is_fresh(told):
            self._believed.add(told.table)

    async def close(self) -> None:
        """Listen no more."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    def _is_fresh(self, told: "_Told | None") -> TypeGuard["_Told"]:
        return told is not None and told.sure and told.changes == self._changes

    async def _news_of(self, id: str) -> None:
        news = self._waiting.setdefault(id, asyncio.get_running_loop().create_future())
        try:
            await asyncio.wait({news}, timeout=PATIENCE)
        finally:
            self._waiting.pop(id, None)

    async def _listen(self) -> None:
        # trust_env: no proxy between the parts of one stack
        async with httpx.AsyncClient(timeout=30.0, trust_env=False, auth=self._auth) as http:
            speaks = True
            while speaks:
                try:
                    speaks = await self._hear(http)
                except (httpx.HTTPError, ValueError):  # it restarts, or is about to start
                    speaks = True
                finally:
                    self.hears = False
                    self._forget()
                    for news in self._waiting.values():
                        _wake(news)
                await asyncio.sleep(_PAUSE)

    async def _hear(self, http: httpx.AsyncClient) -> bool:
        """Take all news until they end; False if this ClickHouse has none, which it says at once."""
        async with http.stream("GET", self._url) as answer:
            if answer.status_code >= 500:
                return True
            if answer.status_code != 200 or answer.headers.get("content-type") != CONTENT_TYPE:
                return False
            async for line in answer.aiter_lines():
                self._take(_parsed(line))
                self.hears = True
        return True

    def _take(self, news: dict[str, Any]) -> None:
        if news.get("changed"):
            self._forget()
        elif news.get("table") in self._tables:
            self._told[news["id"]] = _Told(news["table"], news["sure"], self._changes)
            if news["id"] in self._waiting:
                _wake(self._waiting[news["id"]])
            if len(self._told) > _MOST_KEPT:
                self._told.popitem(last=False)

    def _forget(self) -> None:
        """Believe nothing of what has been told so far."""
        self._changes += 1
        self._believed.clear()


class _Told(NamedTuple):
    """What was said of a row."""

    table: str
    sure: bool
    changes: int
    """How often all that was told before had been forgotten."""


def _parsed(line: str) -> dict[str, Any]:
    news = json.loads(line)
    if not isinstance(news, dict) or ("table" in news and not news.keys() >= {"id", "sure"}):
        raise ValueError(line)
    return news


def _wake(waiting: "asyncio.Future[None]") -> None:
    if not waiting.done():
        waiting.set_result(None)
