"""The gateway's request: every option of DSPy's body reaches the provider unchanged, and nothing else does."""

from typing import Any

import dspy
import pytest

from t0dspy.artifact.manifest import PredictorEntry
from t0dspy.compiler.arguments import Arguments
from t0dspy.compiler.static_text import static_text
from t0dspy.errors import ProgramError
from t0dspy.transport.body import Body, parse_body
from t0dspy.transport.prompt import Prompt, ServedPredictor
from t0dspy.transport.request import compiled_request, kept_request, translated_request

SIGNATURE = dspy.Signature("question: str, count: int -> answer: str")
INPUTS = {"question": "why?", "count": 3}
MESSAGES: list[dict[str, Any]] = dspy.ChatAdapter().format(SIGNATURE, [], INPUTS)


def served(**sampling: Any) -> ServedPredictor:
    static = static_text(dspy.ChatAdapter(), SIGNATURE, [], None)
    entry = PredictorEntry("f", "m", sampling, 0, None, ("chat",))
    return ServedPredictor("self", entry, [Prompt(static, Arguments(SIGNATURE, "chat"))], SIGNATURE)


def request(inputs: dict[str, Any], options: dict[str, Any], **sampling: Any) -> dict[str, Any]:
    predictor = served(**sampling)
    messages = dspy.ChatAdapter().format(SIGNATURE, [], inputs)
    return compiled_request(predictor, predictor.prompts[0], inputs, Body("m", messages, options), "v1")


def exact(request: dict[str, Any]) -> dict[str, Any]:
    return {entry["pointer"]: entry.get("value", "deleted") for entry in request["tensorzero::extra_body"]}


def test_every_option_is_written_again() -> None:
    """The gateway stores floats in 32 bits, so that the exact value is in `extra_body`."""
    sent = request(INPUTS, {"temperature": 0.7, "logit_bias": {"1": 2}, "max_tokens": 9})
    assert (sent["temperature"], sent["max_completion_tokens"]) == (0.7, 9)
    assert exact(sent) == {
        "/temperature": 0.7,
        "/logit_bias": {"1": 2},
        "/max_tokens": 9,
        "/response_format": "deleted",
        "/max_completion_tokens": "deleted",
    }


def test_what_the_variant_adds_is_deleted_if_dspy_does_not_send_it() -> None:
    """A context with another temperature, or none, does not inherit that of the export."""
    sent = request(INPUTS, {}, temperature=0.2, stop_sequences=["x"], max_tokens=5)
    deleted = {pointer for pointer, value in exact(sent).items() if value == "deleted"}
    assert deleted == {"/temperature", "/stop", "/max_completion_tokens", "/response_format"}


def test_inputs_are_typed_or_text() -> None:
    """A value that does not fit its type is sent as DSPy prints it."""
    (block,) = request(INPUTS, {})["messages"][-1]["content"]
    assert block["arguments"] == {"question": "why?", "count": 3}
    (block,) = request({"question": "why?", "count": "many"}, {})["messages"][-1]["content"]
    assert block["arguments"]["count"] == {"t0dspy::text": "many", "t0dspy::value": "many"}
    (block,) = request({"question": "why?"}, {})["messages"][-1]["content"]
    assert block["arguments"]["count"] == {"t0dspy::text": None}


def test_a_prompt_that_is_not_exported_names_the_difference() -> None:
    """The message has positions and no values, because a user may have given them."""
    system, user = (message["content"] for message in MESSAGES)
    predictor = served()
    assert predictor.find([system, user]) == 0
    with pytest.raises(ProgramError, match=r"it has 3 messages before the input, and the exported one has 1"):
        predictor.find([system, "a", "b", user])
    with pytest.raises(ProgramError, match=r"the system message differs from its line 3\."):
        predictor.find([system.replace("count", "secret"), user])
    with pytest.raises(ProgramError, match="the system message differs, because it has parts other than text"):
        predictor.find([[{"type": "text", "text": system}], user])


def test_messages_that_the_gateway_would_change_are_written_again() -> None:
    """A kept predictor's messages stay as DSPy wrote them."""
    plain = Body("m", [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}], {})
    assert "/messages" not in exact(kept_request("f", plain, "v1"))
    for messages in (
        [{"role": "user", "content": "u"}, {"role": "system", "content": "s"}],
        [{"role": "user", "content": "u", "name": "ann"}],
        [{"role": "user", "content": [{"type": "text", "text": "alone"}]}],
        [{"role": "tool", "content": "7", "tool_call_id": "1"}],
    ):
        assert exact(kept_request("f", Body("m", messages, {}), "v1"))["/messages"] == messages
    json_object = Body("m", plain.messages, {"response_format": {"type": "json_object"}})
    assert "/messages" in exact(kept_request("f", json_object, "v1"))


def test_the_address_of_an_image_is_not_given_to_the_gateway() -> None:
    """The gateway would fetch it; the provider gets it."""
    image = {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}}
    inline = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    body = Body("m", [{"role": "user", "content": [{"type": "text", "text": "a"}, image, inline]}], {})
    sent = kept_request("f", body, "v1")
    parts = sent["messages"][0]["content"]
    assert parts == [{"type": "text", "text": "a"}, {"type": "text", "text": "https://example.org/cat.png"}, inline]
    assert exact(sent)["/messages"] == body.messages


def test_a_translated_request_refuses_what_the_gateway_cannot_translate() -> None:
    """The option is named."""
    body = Body("claude", MESSAGES, {"temperature": 0.5, "stop": ["x"]})
    sent = translated_request(kept_request("f", body, "v1"), body)
    assert (sent["temperature"], sent["stop"], "tensorzero::extra_body" in sent) == (0.5, ["x"], False)
    with pytest.raises(ProgramError, match="with the option 'logit_bias', which the gateway cannot translate"):
        translated_request({}, Body("claude", MESSAGES, {"logit_bias": {}}))


def test_another_api_than_chat_completions_is_refused() -> None:
    """The Responses API is not carried."""
    with pytest.raises(ProgramError, match=r"other than OpenAI's chat completions \(responses\)"):
        parse_body("https://api.openai.com/v1/responses", b"{}")
    body = parse_body("http://h/v1/chat/completions?x=1", b'{"model": "m", "messages": [], "stream": true, "n": 2}')
    assert (body.model, body.options, body.streamed) == ("m", {"n": 2}, True)
