"""A row counts as stored by a row event of the stack's own ClickHouse, or by a query of any other ClickHouse."""

import asyncio
import itertools
import json
import shutil
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chdb_http import row_events
from support.clickhouse import Server
from support.stack import wait_until
from t0dspy.stack.gateway import listener, row_watcher
from t0dspy.stack.gateway.row_watcher import ClickHouse, RowWatcher
from t0dspy.stack.processes import ports
from t0dspy.transport.episode import new_episode

EPISODE = str(uuid.uuid4())


class Counted(ClickHouse):
    """ClickHouse, with how often it was asked."""

    asked = 0

    async def column(self, sql: str, **parameters: str) -> list[str]:
        self.asked += 1
        return await super().column(sql, **parameters)


@pytest.fixture
def data(tmp_path: Path, migrated: Path) -> Path:
    """A data directory of the test's own with TensorZero's tables."""
    shutil.copytree(migrated / "clickhouse", tmp_path / "data", symlinks=True)
    return tmp_path / "data"


@pytest.fixture
def server(data: Path) -> Iterator[Server]:
    """A running ClickHouse with TensorZero's tables."""
    with Server(data) as running:
        yield running


def write(server: Server, table: str, row: dict[str, Any]) -> str:
    """The id of a row written as the gateway writes it."""
    id = new_episode()
    sql = f"INSERT INTO {table}\nSETTINGS async_insert=1, wait_for_async_insert=1\nFORMAT JSONEachRow\n"
    server.run(sql + json.dumps({"id": id, **row}), database="tensorzero")
    return id


def inference(server: Server, **more: Any) -> str:
    """The id of an inference that has just been stored."""
    row = {"function_name": "f", "variant_name": "v", "episode_id": EPISODE, "input": "{}", "output": "[]", **more}
    return write(server, "ChatInference", row)


@asynccontextmanager
async def watcher_of(url: str) -> Any:
    """A watcher that receives row events, if the server sends any, and the ClickHouse that it queries."""
    clickhouse = Counted(f"{url}/tensorzero")
    watcher = RowWatcher(clickhouse)
    try:
        await listening(watcher)
        yield watcher, clickhouse
    finally:
        await watcher.close()
        await clickhouse.close()


async def listening(watcher: RowWatcher) -> None:
    """Return when it receives row events, or when it has found that the server sends none."""
    async with asyncio.timeout(20):
        while not (watcher._listener.connected or watcher._listener._task.done()):
            await asyncio.sleep(0.01)


async def believed(watcher: RowWatcher, server: Server) -> None:
    """Return once what is told of inferences is believed: one was asked for, and the next one was not."""
    for _ in range(2):
        assert await watcher.wait_until_stored("inference", await in_thread(inference, server))


async def in_thread(work: Callable[..., str], *arguments: Any, **more: Any) -> str:
    return await asyncio.to_thread(work, *arguments, **more)


def test_the_first_row_is_asked_for_and_the_next_are_heard_of(server: Server) -> None:
    """Of each table; large rows too, and rows that are stored while somebody waits for them."""

    async def story() -> None:
        async with watcher_of(server.url) as (watcher, clickhouse):
            assert await watcher.wait_until_stored("inference", await in_thread(inference, server))
            assert clickhouse.asked == 1
            for size in (10, 1000, 500_000):
                assert await watcher.wait_until_stored(
                    "inference", await in_thread(inference, server, input="x" * size)
                )
            assert clickhouse.asked == 1
            for turn in range(3):
                target = await in_thread(inference, server)
                row = {"target_id": target, "metric_name": "good", "value": True, "tags": {}}
                assert await watcher.wait_until_stored(
                    "boolean", await in_thread(write, server, "BooleanMetricFeedback", row), target
                )
                assert clickhouse.asked == 2, turn

    asyncio.run(story())


def test_the_model_inferences_of_an_inference_are_waited_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are found by the inference's id, by a query and by a row event; another inference's do not count."""
    monkeypatch.setattr(row_watcher, "PATIENCE", 1.0)

    async def story() -> None:
        async with watcher_of(server.url) as (watcher, clickhouse):
            for _ in range(2):
                id = await in_thread(inference, server)
                await in_thread(write, server, "ModelInference", {"inference_id": id, "raw_request": "{}"})
                assert await watcher.wait_until_stored("model", id)
            assert clickhouse.asked == 1
            alone = await in_thread(inference, server)
            assert await watcher.wait_until_stored("inference", alone)
            assert not await watcher.wait_until_stored("model", alone)

    asyncio.run(story())


def test_a_row_that_never_comes_is_not_seen(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much else is heard of."""
    monkeypatch.setattr(row_watcher, "PATIENCE", 1.0)

    async def story() -> None:
        async with watcher_of(server.url) as (watcher, _):
            assert await watcher.wait_until_stored("inference", await in_thread(inference, server))
            never = asyncio.create_task(watcher.wait_until_stored("inference", new_episode()))
            for _ in range(5):
                assert await watcher.wait_until_stored("inference", await in_thread(inference, server))
            assert await never is False

    asyncio.run(story())


def test_a_view_that_is_gone_is_noticed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was believed of a table is forgotten when somebody changes tables: the next row is asked for."""
    monkeypatch.setattr(row_watcher, "PATIENCE", 1.0)

    async def story() -> None:
        async with watcher_of(server.url) as (watcher, clickhouse):
            await believed(watcher, server)
            assert clickhouse.asked == 1
            await in_thread(server.run, "DROP TABLE ChatInferenceByIdView SYNC", database="tensorzero")
            for _ in range(2):
                assert not await watcher.wait_until_stored("inference", await in_thread(inference, server))

    asyncio.run(story())


def test_a_clickhouse_that_starts_again_is_heard_again(data: Path) -> None:
    """While it is away nothing is believed; once it is back, it is asked first and heard after that."""

    async def story() -> None:
        port = ports.find_free("127.0.0.1", 0, "clickhouse")
        with Server(data, port=port) as server:
            async with watcher_of(server.url) as (watcher, clickhouse):
                await believed(watcher, server)
                before = clickhouse.asked
                await asyncio.to_thread(server.stop)
                with Server(data, port=port) as again:
                    await listening(watcher)
                    assert await watcher.wait_until_stored("inference", await in_thread(inference, again))
                    assert clickhouse.asked == before + 1
                    assert await watcher.wait_until_stored("inference", await in_thread(inference, again))
                    assert clickhouse.asked == before + 1

    asyncio.run(story())


def test_what_was_believed_is_forgotten_with_the_connection(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What happened to the tables while nobody listened is not known."""
    monkeypatch.setattr(row_watcher, "PATIENCE", 1.0)

    async def story() -> None:
        port = ports.find_free("127.0.0.1", 0, "clickhouse")
        with Server(data, port=port) as server:
            async with watcher_of(server.url) as (watcher, _):
                await believed(watcher, server)
                await asyncio.to_thread(server.stop)
                with Server(data, port=port) as again:
                    await in_thread(again.run, "DROP TABLE ChatInferenceByIdView SYNC", database="tensorzero")
                    await listening(watcher)
                    assert not await watcher.wait_until_stored("inference", await in_thread(inference, again))

    asyncio.run(story())


def test_who_waits_is_told_when_nobody_speaks_any_more(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event that cannot arrive any more is not waited for."""
    monkeypatch.setattr(listener, "EVENT_PATIENCE", 60.0)

    async def story() -> None:
        async with watcher_of(server.url) as (watcher, _):
            waiting = asyncio.create_task(
                watcher._listener.wait_for_event(new_episode(), ("ChatInference", "JsonInference"))
            )
            await asyncio.to_thread(wait_until, lambda: watcher._listener._waiting)
            await asyncio.to_thread(server.stop)
            async with asyncio.timeout(10):
                assert await waiting is False

    asyncio.run(story())


def test_nothing_is_waited_for_while_others_write(server: Server) -> None:
    """Statements of others make a row unsure: it is asked for, at once."""

    async def story() -> None:
        await in_thread(server.run, "CREATE TABLE default.own (n UInt8) ENGINE = Memory")
        async with watcher_of(server.url) as (watcher, _):
            slow = asyncio.create_task(in_thread(server.run, "INSERT INTO default.own SELECT sleep(3)"))
            await asyncio.to_thread(server.wait_until_running, "INSERT INTO default.own")
            for _ in range(3):
                id = await in_thread(inference, server)
                began = time.monotonic()
                assert await watcher.wait_until_stored("inference", id)
                assert time.monotonic() - began < listener.EVENT_PATIENCE
            await slow
            id = await in_thread(inference, server)
            await in_thread(server.run, "INSERT INTO default.own VALUES (1)")
            began = time.monotonic()
            assert await watcher.wait_until_stored("inference", id)
            assert time.monotonic() - began < listener.EVENT_PATIENCE

    asyncio.run(story())


def test_an_id_of_another_kind_is_not_seen(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stored comment is no inference, however much inferences are believed."""
    monkeypatch.setattr(row_watcher, "PATIENCE", 1.0)

    async def story() -> None:
        async with watcher_of(server.url) as (watcher, _):
            for _ in range(2):
                target = await in_thread(inference, server)
                assert await watcher.wait_until_stored("inference", target)
                row = {"target_id": target, "target_type": "inference", "value": "fine", "tags": {}}
                comment = await in_thread(write, server, "CommentFeedback", row)
                assert await watcher.wait_until_stored("comment", comment, target)
            assert not await watcher.wait_until_stored("inference", comment)

    asyncio.run(story())


def test_a_password_in_the_url(data: Path) -> None:
    """By either way that ClickHouse takes it, for what is asked and for what is heard."""
    options: Any = {"user": "ada", "password_env": "PASSWORD", "environment": {"PASSWORD": "s3cret"}}

    async def sees(url: str, server: Server) -> bool:
        clickhouse = Counted(url)
        watcher = RowWatcher(clickhouse)
        try:
            await listening(watcher)
            server.http.auth = ("ada", "s3cret")
            assert watcher._listener.connected
            return bool(await watcher.wait_until_stored("inference", await in_thread(inference, server)))
        finally:
            await watcher.close()
            await clickhouse.close()

    with Server(data, **options) as server:
        host = server.url.removeprefix("http://")
        assert asyncio.run(sees(f"http://ada:s3cret@{host}/tensorzero", server))
        assert asyncio.run(sees(f"http://{host}/tensorzero?user=ada&password=s3cret", server))


def test_any_other_clickhouse_is_asked(server: Server) -> None:
    """One that tells nothing, as ClickHouse's own server: every row is looked up, and none is waited for."""

    async def story() -> None:
        async with silent(server.url) as url, watcher_of(url) as (watcher, clickhouse):
            for number in itertools.count(1):
                id = await in_thread(inference, server)
                began = time.monotonic()
                assert await watcher.wait_until_stored("inference", id)
                assert clickhouse.asked == number
                assert time.monotonic() - began < listener.EVENT_PATIENCE
                if number == 3:
                    return

    asyncio.run(story())


@asynccontextmanager
async def silent(url: str) -> Any:
    """The URL of a server that passes on queries to `url`, and has no route for row events."""

    async def passed_on(request: Request) -> Response:
        if request.url.path == row_events.PATH:
            return Response("There is no handle /chdb_http/row-events\n", 404, media_type="text/plain")
        async with httpx.AsyncClient(trust_env=False) as http:
            query = dict(request.query_params)
            answer = await http.post(url + request.url.path, params=query, content=await request.body())
        return Response(answer.content, answer.status_code)

    routes = [Route("/{path:path}", passed_on, methods=["GET", "POST"])]
    port = ports.find_free("127.0.0.1", 0, "clickhouse")
    front = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), port=port, log_config=None, lifespan="off"))
    serving: Awaitable[None] = asyncio.create_task(front.serve())
    while not front.started:
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        front.should_exit = True
        await serving
