"""The program server's HTTP routes: OpenAI's chat completions, liveness and readiness."""

import asyncio
import functools
import hmac
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from localkit.web_pages import Allowed, WebPageGuard
from t0dspy.errors import SettingsError
from t0dspy.gateway import STAGE_TAGS
from t0dspy.runtime.server.logs import log
from t0dspy.runtime.server.messages import Order, Outcome
from t0dspy.runtime.server.pool import Busy
from t0dspy.runtime.server.pools import Pools
from t0dspy.runtime.tags import checked_tags
from t0dspy.transport.episode import new_episode

RETRY_AFTER = "1"
"""Seconds after which a refused caller may try again."""


class Refused(Exception):  # noqa: N818 - becomes a response
    """A request that is refused before its run starts."""

    def __init__(self, status: int, kind: str, text: str) -> None:
        self.status, self.kind, self.text = status, kind, text
        super().__init__(text)


def application(pools: Pools, key: str, allowed: Allowed, *, local_only: bool) -> ASGIApp:
    """Return the ASGI application.

    Args:
        pools: the workers that run the programs.
        key: the bearer token that requests must have.
        allowed: the hosts and origins that requests may name; requests from other web pages are refused.
        local_only: whether the server listens on a loopback address.
    """
    expected = f"Bearer {key}".encode()

    async def completions(request: Request) -> Response:
        if not hmac.compare_digest(request.headers.get("authorization", "").encode(), expected):
            return _error(401, "unauthorized", "the bearer key is not that of T0DSPY_PROGRAMS_KEY.")
        try:
            body = _parse_object(await request.body(), "the body")
            order = await _parse_order(pools, body)
            outcome = await _run_unless_disconnected(request, pools, order)
        except ClientDisconnect:
            return Response(status_code=499)
        except Refused as refused:
            return _error(refused.status, refused.kind, refused.text)
        except Busy:
            log("warning", "turned away", in_flight=pools.in_flight)
            return _error(
                503, "busy", "all workers and the queue are full, or none is ready yet.", {"Retry-After": RETRY_AFTER}
            )
        return _response(outcome, body)

    async def live(_: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(_: Request) -> Response:
        content = {
            "ready": pools.is_ready,
            "workers": pools.workers,
            "in_flight": pools.in_flight,
            "programs": _programs(pools),
            "reloads": pools.reloads,
            "reload_refused": pools.reload_refused,
        }
        return JSONResponse(content, 200 if pools.is_ready else 503)

    app = Starlette(
        routes=[
            Route("/v1/chat/completions", completions, methods=["POST"]),
            Route("/live", live, methods=["GET"]),
            Route("/ready", ready, methods=["GET"]),
        ]
    )
    refusal = functools.partial(_error, 403, "web_page")
    return WebPageGuard(app, allowed, local_only=local_only, refusal=refusal)


def _programs(pools: Pools) -> dict[str, dict[str, str]]:
    """Map `NAME/VERSION` to the reason why it cannot run and the files that changed since its export, or to ""."""
    offered = {
        f"{name}/{version}": {"cannot_run": refusal, "code_changed": offer.changed.get(version, "")}
        for name, offer in pools.offers().items()
        for version, refusal in offer.versions.items()
    }
    return offered | {name: {"cannot_run": reason, "code_changed": ""} for name, reason in pools.broken().items()}


async def _parse_order(pools: Pools, body: dict[str, Any]) -> Order:
    program, _, version = str(body.get("model", "")).partition("/")
    if not await pools.knows(program, version):
        known = [f"{name}/{version}" for name, offer in pools.offers().items() for version in offer.versions]
        raise Refused(
            404, "unknown_program", f"no program {body.get('model')!r}; there are {', '.join(known) or 'none'}."
        )
    offer = pools.offers()[program]
    if refusal := offer.versions[version]:
        raise Refused(501, "program_refused", f"{program}/{version} cannot be run: {refusal}")
    arguments = _parse_object(_user_text(body).encode("utf-8", "surrogatepass"), "the user message")
    return Order(new_episode(), program, version, arguments, offer.seconds, _stage_tags(body))


def _stage_tags(body: dict[str, Any]) -> dict[str, str]:
    try:
        return checked_tags(body.get(STAGE_TAGS) or {}, STAGE_TAGS)
    except (SettingsError, AttributeError) as error:
        raise Refused(400, "bad_request", f"{STAGE_TAGS} is not an object of tags: {error}") from error


def _user_text(body: dict[str, Any]) -> str:
    messages = body.get("messages")
    if not isinstance(messages, list) or len(messages) != 1 or not isinstance(messages[0], dict):
        raise Refused(400, "bad_request", "give one user message, the JSON text of the program's inputs.")
    content = messages[0].get("content")
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _parse_object(data: bytes, source: str) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Refused(400, "bad_request", f"{source} is not a JSON object.")
    return value


async def _run_unless_disconnected(request: Request, pools: Pools, order: Order) -> Outcome:
    """Run `order` and return its outcome; stop the run if the caller disconnects.

    Raises:
        ClientDisconnect: the caller disconnected first.
        Busy: no worker has room for the run.
    """
    started = time.monotonic()
    work = asyncio.create_task(pools.run(order))
    gone = asyncio.create_task(_wait_for_disconnect(request))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            log("info", "caller went away", run=order.run, program=order.model)
            raise ClientDisconnect
        outcome = work.result()
    finally:
        for task in (work, gone):
            task.cancel()
        with suppress(asyncio.CancelledError, Busy):
            await work
    _log_run(order, outcome, time.monotonic() - started)
    return outcome


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _log_run(order: Order, outcome: Outcome, seconds: float) -> None:
    level, event = ("info", "run") if outcome.status == 200 else ("error", "run failed")
    failure = {} if outcome.status == 200 else {"kind": outcome.kind}
    log(
        "info" if level == "info" else "error",
        event,
        run=order.run,
        program=order.model,
        status=outcome.status,
        seconds=round(seconds, 3),
        stages=outcome.stages,
        tokens=[outcome.input_tokens, outcome.output_tokens],
        **failure,
    )


def _response(outcome: Outcome, body: dict[str, Any]) -> Response:
    if outcome.status != 200:
        return _error(outcome.status, outcome.kind, outcome.text)
    if body.get("stream"):
        return StreamingResponse(_chunks(outcome, body), media_type="text/event-stream")
    message = {"role": "assistant", "content": outcome.text}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return JSONResponse({**_head(outcome, body, "chat.completion"), "choices": [choice], "usage": _usage(outcome)})


def _chunks(outcome: Outcome, body: dict[str, Any]) -> Iterator[bytes]:
    """Yield the answer as a single chunk, because a program has no answer before it has ended."""
    head = _head(outcome, body, "chat.completion.chunk")
    delta = {"role": "assistant", "content": outcome.text}
    for chunk in (
        {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": _usage(outcome)},
    ):
        yield b"data: " + json.dumps({**head, **chunk}, ensure_ascii=False).encode() + b"\n\n"
    yield b"data: [DONE]\n\n"


def _head(outcome: Outcome, body: dict[str, Any], kind: str) -> dict[str, Any]:
    return {"id": outcome.run, "object": kind, "created": int(time.time()), "model": body["model"]}


def _usage(outcome: Outcome) -> dict[str, int]:
    prompt, completion = outcome.input_tokens, outcome.output_tokens
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _error(status: int, kind: str, text: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": {"message": text, "type": kind, "code": status}}, status, headers)
