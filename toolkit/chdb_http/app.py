"""The routes of ClickHouse's HTTP interface."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from chdb_http.access import Access
from chdb_http.answer import Answer, refusal
from chdb_http.engine import Engine
from chdb_http.execution import Execution
from chdb_http.failure import EngineError, unexpected
from chdb_http.news import CONTENT_TYPE, PATH, STORING
from chdb_http.request import Delivery, delivery_of, query_of
from localkit.web_pages import Allowed, WebPageGuard

_NOTHING_HERE = """There is no handle {path}

Use / or /ping for health checks.
Send queries from your program with POST method or GET /?query=...
"""


def application(engine: Engine, access: Access, workers: Executor, allowed: Allowed, *, local_only: bool) -> ASGIApp:
    """The ASGI application that answers for `engine`; queries run on the threads of `workers`.

    No route answers a web page that `allowed` does not name; `local_only` as in `refuse_web_page`.
    """

    async def ok(request: Request) -> Response:
        return PlainTextResponse("Ok.\n")

    async def query(request: Request) -> Response:
        path = str(request.path_params.get("path", ""))
        if "/" in path or (path and request.method != "POST" and "query" not in request.query_params):
            return PlainTextResponse(_NOTHING_HERE.format(path=request.url.path), 404)
        if request.method != "POST" and "query" not in request.query_params:
            return PlainTextResponse("Ok.\n")
        return await _guarded(engine, request, lambda: _answer(engine, access, workers, request))

    async def news(request: Request) -> Response:
        async def lines() -> Response:
            access.user(request.headers, request.query_params)
            if request.method == "HEAD":
                return Response(media_type=CONTENT_TYPE)
            told = engine.news.lines(request.query_params.get("database"))
            return StreamingResponse(told, media_type=CONTENT_TYPE)

        return await _guarded(engine, request, lines)

    async def storing(request: Request) -> Response:
        async def state() -> Response:
            access.user(request.headers, request.query_params)
            trouble = await asyncio.to_thread(engine.trouble)
            return PlainTextResponse(trouble or "Ok.\n", 503 if trouble else 200)

        return await _guarded(engine, request, state)

    methods = ["GET", "HEAD", "POST"]
    routes = [
        Route("/ping", ok),
        Route("/replicas_status", ok),
        Route(PATH, news, methods=["GET"]),
        Route(STORING, storing, methods=["GET"]),
        Route("/{path:path}", query, methods=methods),
    ]
    return WebPageGuard(
        Starlette(routes=routes),
        allowed,
        local_only=local_only,
        refusal=lambda reason: _refused(EngineError("DATABASE_ACCESS_DENIED", reason), engine),
    )


async def _answer(engine: Engine, access: Access, workers: Executor, request: Request) -> Response:
    user = access.user(request.headers, request.query_params)
    delivery = delivery_of(request)
    execution = Execution(engine, await query_of(request, user))
    return Answer(engine, execution, delivery, workers)


async def _guarded(engine: Engine, request: Request, answer: Callable[[], Awaitable[Response]]) -> Response:
    try:
        return await answer()
    except EngineError as failure:
        return _refused(failure, engine)
    except HTTPException as broken_form:
        return _refused(EngineError("BAD_ARGUMENTS", f"Broken multipart body: {broken_form.detail}."), engine)
    except ClientDisconnect:
        return Response(status_code=400)
    except Exception as bug:
        return _refused(unexpected(bug), engine)


def _refused(failure: EngineError, engine: Engine) -> Response:
    status, headers, body = refusal(failure, engine, Delivery("", None, whole=True))
    return Response(body, status, headers)
