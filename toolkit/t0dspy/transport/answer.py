"""Return the provider's own answer, which the gateway passes on beside its own."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from t0dspy.errors import GatewayError
from t0dspy.gateway import Completion, Inference

_STATUS = re.compile(r"Error (\d{3}) ")


@dataclass(frozen=True)
class Answer:
    """What DSPy gets: the provider's status and bytes."""

    status: int
    raw: bytes


class ProviderLostError(Exception):
    """The gateway could not reach the provider, or the provider did not answer in time."""


def read_inference(completion: Completion) -> Inference:
    """Return the ids, the text and the usage of a completion.

    Raises:
        GatewayError: the answer lacks one of them.
    """
    body = completion.body
    usage = body.get("usage") or {}
    tokens = int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)
    try:
        variant = str(body["model"]).rpartition("::")[2]
        text = body["choices"][0]["message"].get("content") or ""
        return Inference(str(body["id"]), str(body["episode_id"]), variant, text, tokens)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise GatewayError(f"the gateway's answer is not an inference: {error!r} is missing.") from error


def read_answer(completion: Completion, *, streamed: bool, translated: bool) -> Answer:
    """Return the provider's answer in `completion`.

    Args:
        completion: the gateway's answer.
        streamed: whether DSPy reads a stream of events.
        translated: whether the provider's API is not OpenAI's, so that DSPy reads the gateway's translation.

    Raises:
        GatewayError: the gateway itself refused the request.
        ProviderLostError: the provider did not answer.
    """
    data, kind = _provider_data(completion.body)
    if completion.status == 200:
        if not translated and kind in _OTHER_APIS:
            raise GatewayError(
                f"the model is served by a provider of type {kind}, whose API is not OpenAI's, but DSPy's LM expects "
                "OpenAI's. Construct the LM with the provider's prefix, such as anthropic/NAME, and export again."
            )
        raw = json.dumps(completion.body) if translated or data is None else data
        return Answer(200, _as_events(raw) if streamed else raw.encode())
    message = _message(completion.body)
    if data is not None:
        raw = json.dumps({"error": {"message": data}}) if translated else data
        return Answer(_provider_status(message, data), raw.encode())
    if completion.status in (408, 502, 504) or "timed out" in message.lower():
        raise ProviderLostError(message)
    raise GatewayError(f"the gateway answered {completion.status}: {message}")


_OTHER_APIS = frozenset(
    (
        *("anthropic", "aws_bedrock", "aws_sagemaker", "gcp_vertex_anthropic", "gcp_vertex_gemini"),
        "google_ai_studio_gemini",
    )
)
"""TensorZero's types of providers whose API is not OpenAI's chat completions."""


def _provider_data(body: Mapping[str, Any]) -> tuple[str | None, str]:
    """Return the provider's bytes as text, None if the gateway has none, and the type of the provider."""
    entries = body.get("tensorzero_raw_response")
    if not isinstance(entries, list) or not entries or not isinstance(entries[-1], dict):
        return None, ""
    data = entries[-1].get("data")
    return (data if isinstance(data, str) else None), str(entries[-1].get("provider_type"))


def _message(body: Mapping[str, Any]) -> str:
    error = body.get("error")
    text = error.get("message") if isinstance(error, dict) else error
    return str(text)[:2000]


# Workaround (tensorzero 2026.6): the gateway reports every failure of a provider as 502 and has the provider's status
# only in its sentence, and only for some statuses; remove when its answer has the status.
def _provider_status(message: str, data: str) -> int:
    match = _STATUS.search(message)
    if match:
        return int(match[1])
    try:
        error = json.loads(data)["error"]
        code, kind = error.get("code"), error.get("type")
    except (ValueError, KeyError, TypeError, AttributeError):
        return 500
    for value in (code, error.get("status")):
        if str(value).isdigit() and 400 <= int(value) < 600:
            return int(value)
    return 404 if kind == "invalid_request_error" else 500


def _as_events(raw: str) -> bytes:
    """Return a completion as a stream with a single piece, because the gateway is asked for the whole answer."""
    completion = json.loads(raw)
    head = {key: value for key, value in completion.items() if key not in ("choices", "usage", "object")}
    choices = [
        {"index": choice.get("index", 0), "delta": choice["message"], "finish_reason": choice.get("finish_reason")}
        for choice in completion["choices"]
    ]
    chunks = [{**head, "object": "chat.completion.chunk", "choices": choices}]
    if completion.get("usage"):
        chunks.append({**head, "object": "chat.completion.chunk", "choices": [], "usage": completion["usage"]})
    events = [f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n" for chunk in chunks]
    return "".join([*events, "data: [DONE]\n\n"]).encode()
