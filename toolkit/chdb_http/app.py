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
from chdb_http.engine import Engine
from chdb_http.engine_error import EngineError, internal_error
from chdb_http.execution import Execution
from chdb_http.request import Delivery, parse_delivery, parse_query
from chdb_http.response import QueryResponse, error_message
from chdb_http.row_events import CONTENT_TYPE, PATH, STORING
from localkit.web_pages import Allowed, WebPageGuard

_NOTHING_HERE = """There is no handle {path}

Use / or /ping for health checks.
Send queries from your program with POST method or GET /?query=...
"""


def application(engine: Engine, access: Access, workers: Executor, allowed: Allowed, *, local_only: bool) -> ASGIApp:
    """Return the ASGI application for `engine`, which runs queries on the threads of `workers`.

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
        return await _with_error_responses(engine, lambda: _answer(engine, access, workers, request))

    async def row_events(request: Request) -> Response:
        async def lines() -> Response:
            access.user(request.headers, request.query_params)
            if request.method == "HEAD":
                return Response(media_type=CONTENT_TYPE)
            events = engine.row_events.lines(request.query_params.get("database"))
            return StreamingResponse(events, media_type=CONTENT_TYPE)

        return await _with_error_responses(engine, lines)

    async def storing(request: Request) -> Response:
        async def state() -> Response:
            access.user(request.headers, request.query_params)
            trouble = await asyncio.to_thread(engine.trouble)
            return PlainTextResponse(trouble or "Ok.\n", 503 if trouble else 200)

        return await _with_error_responses(engine, state)

    methods = ["GET", "HEAD", "POST"]
    routes = [
        Route("/ping", ok),
        Route("/replicas_status", ok),
        Route(PATH, row_events, methods=["GET"]),
        Route(STORING, storing, methods=["GET"]),
        Route("/{path:path}", query, methods=methods),
    ]
    return WebPageGuard(
        Starlette(routes=routes),
        allowed,
        local_only=local_only,
        refusal=lambda reason: _error_response(EngineError("DATABASE_ACCESS_DENIED", reason), engine),
    )


async def _answer(engine: Engine, access: Access, workers: Executor, request: Request) -> Response:
    user = access.user(request.headers, request.query_params)
    delivery = parse_delivery(request)
    execution = Execution(engine, await parse_query(request, user))
    return QueryResponse(engine, execution, delivery, workers)


async def _with_error_responses(engine: Engine, answer: Callable[[], Awaitable[Response]]) -> Response:
    try:
        return await answer()
    except EngineError as failure:
        return _error_response(failure, engine)
    except HTTPException as broken_form:
        return _error_response(EngineError("BAD_ARGUMENTS", f"Broken multipart body: {broken_form.detail}."), engine)
    except ClientDisconnect:
        return Response(status_code=400)
    except Exception as bug:
        return _error_response(internal_error(bug), engine)


def _error_response(failure: EngineError, engine: Engine) -> Response:
    status, headers, body = error_message(failure, engine, Delivery("", None, whole=True))
    return Response(body, status, headers)
