"""What DSPy gets of the gateway's answer: the provider's status and bytes."""

import json
from typing import Any

import pytest

from t0dspy.errors import GatewayError
from t0dspy.gateway import Completion
from t0dspy.transport.answer import ProviderLostError, read_answer, read_inference

PROVIDER = '{"id": "x", "choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "length"}]}'


def completion(status: int, data: str | None, message: str = "", kind: str = "openai") -> Completion:
    body: dict[str, Any] = {"error": {"message": message}} if status != 200 else {"choices": [], "id": "gateway"}
    if data is not None:
        body["tensorzero_raw_response"] = [{"provider_type": kind, "data": data}]
    return Completion(status, body)


def test_the_providers_bytes_come_back() -> None:
    """The bytes are unchanged, so that DSPy sees `finish_reason` and everything else."""
    answer = read_answer(completion(200, PROVIDER), streamed=False, translated=False)
    assert (answer.status, answer.raw) == (200, PROVIDER.encode())


@pytest.mark.parametrize(
    ("message", "data", "status"),
    [
        ("Error 401 Unauthorized from openai client: {}", "{}", 401),
        ("Error 429 Too Many Requests from openai client", "{}", 429),
        ("Error from openai server", '{"error": {"code": 503}}', 503),
        ("Error from openai server", '{"error": {"code": "404"}}', 404),
        ("Error from openai server", '{"error": {"type": "invalid_request_error"}}', 404),
        ("Error from openai server", '{"error": {"code": 7}}', 500),
        ("Error from openai server", "<html>", 500),
        ("Error from openai server", '{"error": "text"}', 500),
    ],
)
def test_the_providers_status_is_found(message: str, data: str, status: int) -> None:
    """The gateway answers 502 for all of them."""
    answer = read_answer(completion(502, data, message), streamed=False, translated=False)
    assert (answer.status, answer.raw) == (status, data.encode())


def test_a_stream_has_one_piece_and_its_end() -> None:
    """A caller that streams gets events with the text, the finish reason and the end."""
    raw = read_answer(completion(200, PROVIDER), streamed=True, translated=False).raw.decode()
    first, end = raw.strip().split("\n\n")
    (choice,) = json.loads(first.removeprefix("data: "))["choices"]
    assert (choice["delta"]["content"], choice["finish_reason"], end) == ("hi", "length", "data: [DONE]")


def test_a_refusal_of_the_gateway_is_an_error_of_ours() -> None:
    """A failure without a provider's answer is the gateway's, or an outage of the provider."""
    with pytest.raises(GatewayError, match="the gateway answered 404: Unknown variant: v9"):
        read_answer(completion(404, None, "Unknown variant: v9"), streamed=False, translated=False)
    with pytest.raises(ProviderLostError, match="connection refused"):
        read_answer(completion(502, None, "connection refused"), streamed=False, translated=False)


def test_a_provider_with_another_api() -> None:
    """DSPy cannot read its bytes; the gateway's translation is read only if DSPy's LM has such a provider too."""
    other = completion(200, '{"content": []}', kind="anthropic")
    with pytest.raises(GatewayError, match="a provider of type anthropic, whose API is not OpenAI's"):
        read_answer(other, streamed=False, translated=False)
    answer = read_answer(other, streamed=False, translated=True)
    assert json.loads(answer.raw)["id"] == "gateway"


def test_an_answer_without_ids_is_an_error() -> None:
    """The message names what is missing."""
    with pytest.raises(GatewayError, match="is not an inference: KeyError\\('model'\\) is missing"):
        read_inference(Completion(200, {"id": "x"}))
