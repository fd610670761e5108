"""Write the gateway's request that makes the provider receive exactly the body that DSPy would send."""

from collections.abc import Mapping, Sequence
from typing import Any

from t0dspy.errors import ProgramError
from t0dspy.transport.body import Body, Message
from t0dspy.transport.prompt import Prompt, ServedPredictor

_PARAMETERS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "seed": "seed",
    "max_tokens": "max_completion_tokens",
    "max_completion_tokens": "max_completion_tokens",
}
"""Options that the gateway takes as parameters too, which it stores in a column of their own."""

_OF_VARIANT = {"max_tokens": "max_completion_tokens", "stop_sequences": "stop"}
"""A variant's name of a sampling setting -> the key that the gateway sends a provider of OpenAI's type."""

_TRANSLATED = frozenset((*_PARAMETERS, "stop", "reasoning_effort", "service_tier", "verbosity"))
_TRANSLATED_TOOLS = frozenset(("response_format", "tools", "tool_choice", "parallel_tool_calls"))
"""Options that the gateway translates for a provider whose API is not OpenAI's."""

_WRITTEN_FOR_TOOLS = ("tool_choice", "parallel_tool_calls")
"""Keys that the gateway adds to a request with tools."""


def compiled_request(
    predictor: ServedPredictor, prompt: Prompt, inputs: Mapping[str, Any], body: Body, variant: str
) -> dict[str, Any]:
    """Return the request for a compiled predictor.

    Args:
        predictor: the predictor.
        prompt: the exported text whose static messages `body` has.
        inputs: the values of the input fields.
        body: what DSPy would send.
        variant: the variant that holds this text for the LM that DSPy calls.
    """
    entry = predictor.entry
    turns = [
        {"role": message["role"], "content": [_template(f"demo_{index // 2 + 1}_{message['role']}", {})]}
        for index, message in enumerate(body.messages[1:-1])
    ]
    arguments, fields = prompt.arguments.render(inputs)
    messages = [*turns, {"role": "user", "content": [_template("user", arguments)]}]
    # A variant of another LM has no sampling keys, but deleting an absent key does no harm.
    written = [_OF_VARIANT.get(key, key) for key in entry.sampling]
    exact = _exact(body.options, [*written, "response_format"])
    if body.contents[-1] != prompt.message(fields):
        # DSPy makes parts of some texts, such as those that look like its marker of custom types.
        exact.append({"pointer": "/messages", "value": body.messages})
    return _request(entry.function, variant, messages, body.options, exact)


def kept_request(function: str, body: Body, variant: str) -> dict[str, Any]:
    """Return the request for a kept predictor, whose function has no templates."""
    exact = _exact(body.options, [*_WRITTEN_FOR_TOOLS, "response_format"])
    messages = [_without_addresses(message) for message in body.messages]
    if messages != body.messages or _changes_messages(body):
        exact.append({"pointer": "/messages", "value": body.messages})
    request = _request(function, variant, messages, body.options, exact)
    shown = {key: body.options[key] for key in ("tools", "tool_choice") if key in body.options}
    return {**request, **shown}  # so that the stored row shows them


def _request(
    function: str, variant: str, messages: Sequence[Message], options: Mapping[str, Any], exact: list[dict[str, Any]]
) -> dict[str, Any]:
    parameters = {_PARAMETERS[key]: value for key, value in options.items() if key in _PARAMETERS and value is not None}
    return {
        "model": f"tensorzero::function_name::{function}",
        "messages": list(messages),
        **parameters,
        "tensorzero::variant_name": variant,
        "tensorzero::include_raw_response": True,
        "tensorzero::extra_body": exact,
    }


def translated_request(request: Mapping[str, Any], body: Body) -> dict[str, Any]:
    """Return `request` for a model whose provider has an API of its own, into which the gateway translates it.

    Raises:
        ProgramError: the gateway cannot translate an option.
    """
    unknown = sorted(body.options.keys() - _TRANSLATED - _TRANSLATED_TOOLS)
    if unknown:
        raise ProgramError(
            f"the program calls the LM {body.model!r} with the option {unknown[0]!r}, which the gateway cannot "
            "translate for a provider whose API is not OpenAI's. Remove the option from the LM or the predictor."
        )
    rest = {key: value for key, value in request.items() if key != "tensorzero::extra_body"}
    shown = _TRANSLATED.union(_TRANSLATED_TOOLS) - _PARAMETERS.keys()
    return {**rest, **{key: value for key, value in body.options.items() if key in shown and value is not None}}


def _exact(options: Mapping[str, Any], written: Sequence[str]) -> list[dict[str, Any]]:
    """Return the entries of `extra_body` that make the provider's options exactly `options`.

    The gateway stores floats in 32 bits and respells some keys, so that each option is written again.

    Args:
        options: every key of the body other than the model and the messages.
        written: keys that the gateway may write although DSPy does not.
    """
    exact: list[dict[str, Any]] = [{"pointer": f"/{_escaped(key)}", "value": value} for key, value in options.items()]
    if "max_tokens" in options:
        written = [*written, "max_completion_tokens"]
    absent = [key for key in dict.fromkeys(written) if key not in options]
    return exact + [{"pointer": f"/{key}", "delete": True} for key in absent]


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")  # RFC 6901


def _template(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "tensorzero::template", "name": name, "arguments": dict(arguments)}


# Workaround (tensorzero 2026.6): the gateway fetches the file behind an address to store it, and fails if it cannot;
# remove when it passes addresses on without fetching them.
def _without_addresses(message: Message) -> Message:
    """Return `message` with the addresses of files as text; the provider gets the original message."""
    content = message["content"]
    if not isinstance(content, list):
        return message
    return {**message, "content": [_without_address(part) for part in content]}


def _without_address(part: Mapping[str, Any]) -> dict[str, Any]:
    value = part.get(part["type"])
    address = value.get("url") or value.get("file_url") if isinstance(value, Mapping) else None
    if isinstance(address, str) and not address.startswith("data:"):
        return {"type": "text", "text": address}
    return dict(part)


# Workaround (tensorzero 2026.6): the OpenAI route drops or rewrites parts of messages, such as the name of a message,
# a single text part, and the order of system messages; remove when it passes them on.
def _changes_messages(body: Body) -> bool:
    """Return whether the gateway would write the messages in another way than DSPy."""
    if (body.options.get("response_format") or {}).get("type") == "json_object":
        return True  # the gateway adds a sentence if no message contains the word JSON
    return any(_is_changed(index, message) for index, message in enumerate(body.messages))


def _is_changed(index: int, message: Message) -> bool:
    if message["role"] not in ("system", "user", "assistant") or (message["role"] == "system" and index):
        return True
    if message.keys() - {"role", "content"}:
        return True
    content = message["content"]
    if isinstance(content, str):
        return False
    return not content or (len(content) == 1 and content[0]["type"] == "text") or not all(map(_is_plain, content))


def _is_plain(part: Mapping[str, Any]) -> bool:
    kind = part["type"]
    return kind in ("text", "image_url") and not part.keys() - {"type", kind}
