"""Serve TensorZero's HTTP routes from the embedded gateway, with its JSON, status codes and error bodies."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from importlib.metadata import version
from typing import Any
from uuid import UUID

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from localkit.web_pages import Allowed, WebPageGuard
from t0dspy.stack.gateway.background import Send as SendBytes
from t0dspy.stack.gateway.context import CUT, Gateway
from t0dspy.stack.gateway.openai_routes import relay_embeddings, relay_openai
from t0dspy.stack.gateway.wire import Json, Refusal, read_body, read_object, refusal, to_json

TENSORZERO = version("tensorzero")
LARGEST_SCORE = 3.4028234663852886e38
"""The largest 32-bit float: TensorZero 2026.6.0 keeps scores as such, and larger ones as infinity."""

_SERVED = (
    "/inference, /feedback, /status, /health, /v1/inferences/*, /openai/v1/chat/completions, /openai/v1/embeddings"
)


def application(gateway: Gateway, allowed: Allowed, *, local_only: bool) -> ASGIApp:
    """Return the ASGI application that serves `gateway`, and refuses web pages that are not in `allowed`."""
    routes = [
        Route("/inference", _route(gateway, _inference), methods=["POST"]),
        Route("/feedback", _route(gateway, _feedback), methods=["POST"]),
        Route("/v1/inferences/list_inferences", _route(gateway, _list_inferences), methods=["POST"]),
        Route("/v1/inferences/get_inferences", _route(gateway, _get_inferences), methods=["POST"]),
        Route("/openai/v1/chat/completions", _route(gateway, relay_openai), methods=["POST"]),
        Route("/openai/v1/embeddings", _route(gateway, relay_embeddings), methods=["POST"]),
        Route("/status", _route(gateway, _status), methods=["GET"]),
        Route("/health", _route(gateway, _health), methods=["GET"]),
    ]
    app = Starlette(routes=routes, exception_handlers={404: _not_here, 405: _wrong_method, Refusal: _refused})
    app.router.redirect_slashes = False
    guarded = WebPageGuard(_prefixed(app, gateway), allowed, local_only=local_only, refusal=_from_web_page)
    return _versioned(guarded)


Handler = Callable[[Gateway, bytes, Request], Coroutine[Any, Any, Response]]


def _route(gateway: Gateway, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        body = await read_body(request) if request.method == "POST" else b""
        try:
            return await gateway.background.start(handler(gateway, body, request))
        except asyncio.CancelledError:
            if gateway.background.is_cut:
                raise refusal(503, CUT) from None
            raise

    return endpoint


async def _inference(gateway: Gateway, body: bytes, _: Request) -> Response:
    params = read_object(body)
    if params.get("stream"):
        return await _inference_stream(gateway, params)
    async with gateway.generations.current.lease() as native:
        answer = await native.inference(params)
        if not params.get("dryrun"):
            await gateway.require_stored("inference", answer["inference_id"])
    return _json(answer)


async def _inference_stream(gateway: Gateway, params: dict[str, Json]) -> Response:
    lease = gateway.generations.current.lease()
    native = await lease.__aenter__()
    try:
        stream = native.chunks(await native.inference(params))
    except BaseException:
        await lease.__aexit__(None, None, None)
        raise

    async def produce(send: SendBytes) -> None:
        try:
            await _send_chunks(gateway, stream, send, keep=not params.get("dryrun"))
        finally:
            await lease.__aexit__(None, None, None)

    headers = {"cache-control": "no-cache"}
    events = gateway.background.relay(produce, b"data: " + to_json({"error": CUT}) + b"\n\n")
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def _send_chunks(gateway: Gateway, stream: AsyncIterator[Json], send: SendBytes, *, keep: bool) -> None:
    inference, broken = None, False
    async for chunk in stream:
        inference, broken = chunk.get("inference_id", inference), broken or "error" in chunk
        await send(b"data: " + to_json(chunk) + b"\n\n")
    if keep and inference and not broken:  # a broken stream is not an answer, so its row need not be stored
        try:
            await gateway.require_stored("inference", inference)
        except Refusal as lost:
            await send(b"data: " + lost.body + b"\n\n")
    await send(b"data: [DONE]\n\n")


async def _feedback(gateway: Gateway, body: bytes, _: Request) -> Response:
    params = read_object(body)
    _check_number(params.get("value"))
    async with gateway.generations.current.lease() as native:
        feedback = await native.feedback(params)
        if not params.get("dryrun"):
            target = params.get("inference_id") or params.get("episode_id")
            await gateway.require_stored(_feedback_kind(params), feedback, str(UUID(str(target))))
    return _json({"feedback_id": feedback})


def _check_number(value: Json) -> None:
    """Refuse a score that ClickHouse would store as infinity, which all queries of scores leave out."""
    # Workaround (tensorzero 2026.6): scores are stored as 32-bit floats, and larger ones as infinity; remove when they
    # are refused or stored as 64-bit floats.
    if isinstance(value, int | float) and not isinstance(value, bool) and not abs(value) <= LARGEST_SCORE:
        raise refusal(400, f"`value` must be a finite number of at most {LARGEST_SCORE:.3g} in size (400 Bad Request)")


def _feedback_kind(params: dict[str, Json]) -> str:
    if params["metric_name"] in ("comment", "demonstration"):
        return str(params["metric_name"])
    return "boolean" if isinstance(params["value"], bool) else "float"


async def _list_inferences(gateway: Gateway, body: bytes, _: Request) -> Response:
    async with gateway.generations.current.lease() as native:
        return _json(await native.list_inferences(read_object(body)))


async def _get_inferences(gateway: Gateway, body: bytes, _: Request) -> Response:
    async with gateway.generations.current.lease() as native:
        return _json(await native.get_inferences(read_object(body)))


async def _status(gateway: Gateway, _: bytes, __: Request) -> Response:
    return _json({"status": "ok", "version": TENSORZERO, "config_hash": gateway.generations.current.config_hash})


async def _health(gateway: Gateway, _: bytes, __: Request) -> Response:
    trouble = await gateway.clickhouse.trouble()
    stores = {"clickhouse": "error" if trouble else "ok", "postgres": "ok", "valkey": "ok", "valkey_cache": "ok"}
    reason = {"reason": trouble} if trouble else {}
    return _json({"gateway": "ok", **stores, **reason}, 503 if trouble else 200)


def _json(value: Json, status: int = 200) -> Response:
    return Response(to_json(value), status, media_type="application/json")


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)  # noqa: S101 - for mypy; Starlette calls this for a Refusal
    return Response(error.body, error.status, media_type="application/json")


def _from_web_page(reason: str) -> Response:
    return _json({"error": reason}, 403)


async def _not_here(request: Request, _: Exception) -> Response:
    sentence = f"The embedded stack does not serve {request.method} {request.url.path}; it serves {_SERVED}."
    return _json({"error": sentence}, 501)


async def _wrong_method(_: Request, error: Exception) -> Response:
    headers = error.headers if isinstance(error, HTTPException) else None
    return Response(status_code=405, headers=headers)


def _prefixed(app: ASGIApp, gateway: Gateway) -> ASGIApp:
    """Serve `app` also below the config's `base_path`, which the program server does not use."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        base = gateway.generations.current.base_path
        path = scope.get("path", "")
        if base and path.startswith(f"{base}/"):
            scope = {**scope, "path": path.removeprefix(base)}
        await app(scope, receive, send)

    return wrapped


def _versioned(app: ASGIApp) -> ASGIApp:
    """Add the gateway's version to every response, because TensorZero's clients check it."""
    header = (b"x-tensorzero-gateway-version", TENSORZERO.encode())

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_versioned(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), header]
            await send(message)

        await app(scope, receive, send_versioned)

    return wrapped
