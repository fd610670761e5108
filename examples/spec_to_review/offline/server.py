"""The offline model over HTTP: `POST /v1/chat/completions`, as OpenAI's API has it."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from examples.spec_to_review.offline import stages
from examples.spec_to_review.offline.prompt import Prompt, read, write
from examples.spec_to_review.offline.proposing import PROPOSING

TASKS: Mapping[str, Callable[[Prompt], Mapping[str, Any]]] = {
    "functions": stages.parse_spec,
    "sections": stages.plan,
    "code": stages.write_code,
    "tests": stages.write_tests,
    "review": stages.review_all,
    **PROPOSING,
}
"""Output field -> what answers it."""


def app() -> Starlette:
    """The server."""
    routes = [Route("/v1/chat/completions", _complete, methods=["POST"]), Route("/health", _health)]
    server = Starlette(routes=routes)
    server.state.calls = 0
    return server


def answer(messages: list[dict[str, Any]]) -> str:
    """The answer to a chat, the same for the same chat."""
    return _answer(json.dumps(messages, sort_keys=True))


@lru_cache(maxsize=20_000)
def _answer(chat: str) -> str:
    prompt = read(json.loads(chat))
    task = next((TASKS[name] for name in (prompt.outputs if prompt else ()) if name in TASKS), None)
    if prompt is None or task is None:
        return "I am the offline model of an example, and this is none of the tasks that I know."
    return write(prompt, {"reasoning": "As the text says.", **task(prompt)})


async def _complete(request: Request) -> Response:
    try:
        body = await request.json()
        messages = [dict(one) for one in body["messages"]]
    except (ValueError, KeyError, TypeError) as error:
        said = {"message": f"no chat completion request: {error!r}", "type": "invalid_request_error"}
        return JSONResponse({"error": said}, 400)
    request.app.state.calls += 1
    text = await run_in_threadpool(answer, messages)
    asked = sum(len(str(one.get("content"))) for one in messages) // 4
    usage = {"prompt_tokens": asked, "completion_tokens": len(text) // 4, "total_tokens": asked + len(text) // 4}
    head = {
        "id": f"chatcmpl-{hashlib.sha256(text.encode()).hexdigest()[:24]}",
        "created": 1,
        "model": body.get("model", ""),
    }
    if body.get("stream"):
        return StreamingResponse(_events(head, text, usage), media_type="text/event-stream")
    message = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    return JSONResponse({**head, "object": "chat.completion", "choices": [message], "usage": usage})


def _events(head: Mapping[str, Any], text: str, usage: Mapping[str, int]) -> Iterator[str]:
    deltas: list[tuple[dict[str, Any], str | None]] = [({"role": "assistant", "content": text}, None), ({}, "stop")]
    for delta, reason in deltas:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        yield f"data: {json.dumps({**head, 'object': 'chat.completion.chunk', 'choices': [choice]})}\n\n"
    yield f"data: {json.dumps({**head, 'object': 'chat.completion.chunk', 'choices': [], 'usage': usage})}\n\n"
    yield "data: [DONE]\n\n"


async def _health(request: Request) -> Response:
    return JSONResponse({"status": "ok", "calls": request.app.state.calls})
