"""Relay the wheel's OpenAI-compatible routes byte for byte, and hold each answer until its row is stored."""

import json
from collections.abc import AsyncIterator

import httpx
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from t0dspy.stack.gateway.background import Send
from t0dspy.stack.gateway.context import CUT, Gateway
from t0dspy.stack.gateway.embedded import Native
from t0dspy.stack.gateway.wire import Json, Refusal, refusal, to_json

_DONE = b"data: [DONE]"


async def relay_embeddings(gateway: Gateway, body: bytes, request: Request) -> Response:
    """Answer `/openai/v1/embeddings`; embeddings are not stored."""
    async with gateway.generations.current.lease() as native:
        return _to_response(await _send(native, body, request, stream=False))


async def relay_openai(gateway: Gateway, body: bytes, request: Request) -> Response:
    """Answer `/openai/v1/chat/completions`, streaming or not."""
    lease = gateway.generations.current.lease()
    native = await lease.__aenter__()
    streaming = False
    try:
        answer = await _send(native, body, request, stream=True)
        streaming = answer.headers.get("content-type", "").startswith("text/event-stream")
        if not streaming:
            await answer.aread()
            await _require_stored(gateway, answer, body)
            return _to_response(answer)
    finally:
        if not streaming:
            await lease.__aexit__(None, None, None)

    async def produce(send: Send) -> None:
        try:
            await _pass_events(gateway, answer, body, send)
        finally:
            await answer.aclose()
            await lease.__aexit__(None, None, None)

    headers = {"cache-control": "no-cache"}
    events = gateway.background.relay(produce, b"data: " + to_json({"error": {"message": CUT}}) + b"\n\n")
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def _send(native: Native, body: bytes, request: Request, *, stream: bool) -> httpx.Response:
    headers = {"content-type": request.headers.get("content-type", "application/json")}
    message = native.http.build_request("POST", request.url.path, content=body, headers=headers)
    try:
        return await native.http.send(message, stream=stream)
    except httpx.HTTPError as error:
        raise refusal(502, f"The gateway's server did not answer: {error!r}") from error


async def _require_stored(gateway: Gateway, answer: httpx.Response, body: bytes) -> None:
    if answer.status_code == 200 and not _is_dry(body):
        try:
            await gateway.require_stored("inference", answer.json()["id"])
        except Refusal as lost:
            raise _openai_shaped(lost) from lost


async def _pass_events(gateway: Gateway, answer: httpx.Response, body: bytes, send: Send) -> None:
    first, broken = None, False
    async for event in _events(answer):
        if event.startswith(_DONE) and first and not broken and not _is_dry(body):
            try:
                await gateway.require_stored("inference", first)
            except Refusal as lost:
                await send(b"data: " + _openai_shaped(lost).body + b"\n\n")
        chunk = _data(event)
        first, broken = first or chunk.get("id"), broken or "error" in chunk
        await send(event)


async def _events(answer: httpx.Response) -> AsyncIterator[bytes]:
    rest = b""
    async for piece in answer.aiter_bytes():
        *events, rest = (rest + piece).split(b"\n\n")
        for event in events:
            yield event + b"\n\n"
    if rest:
        yield rest


def _data(event: bytes) -> Json:
    try:
        chunk = json.loads(event.removeprefix(b"data: "))
    except ValueError:
        return {}
    return chunk if isinstance(chunk, dict) else {}


def _is_dry(body: bytes) -> bool:
    return bool(b"tensorzero::dryrun" in body and json.loads(body).get("tensorzero::dryrun"))


def _openai_shaped(lost: Refusal) -> Refusal:
    message = json.loads(lost.body)["error"]
    return Refusal(lost.status, json.dumps({"error": {"message": message}}).encode())


def _to_response(answer: httpx.Response) -> Response:
    media_type = answer.headers.get("content-type")
    return Response(answer.content, answer.status_code, media_type=media_type)
