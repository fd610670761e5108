"""Two recorded request bodies, compared: the frozen list of allowed differences, and nothing else."""

import difflib
import json
import struct
from collections.abc import Mapping
from typing import Any

F32_SETTINGS = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
"""The gateway keeps these as 32-bit floats, so 0.7 arrives as 0.699999988079071."""


def normal(body: Mapping[str, Any]) -> dict[str, Any]:
    """`body` without the differences that are allowed, each for its reason.

    - `stream: false` is what an absent `stream` means.
    - Sampling floats are compared as the gateway keeps them, in 32 bits.
    - `max_tokens` is the older spelling of `max_completion_tokens`.
    """
    kept = {key: value for key, value in body.items() if key != "stream" or value is not False}
    for key in F32_SETTINGS:
        if type(kept.get(key)) in (int, float):
            kept[key] = struct.unpack("f", struct.pack("f", kept[key]))[0]
    if "max_tokens" in kept and "max_completion_tokens" not in kept:
        kept["max_completion_tokens"] = kept.pop("max_tokens")
    return kept


def equal(direct: Mapping[str, Any], served: Mapping[str, Any]) -> bool:
    """Whether the two bodies differ in nothing but what is allowed; the order of fields in a schema counts."""
    one, other = normal(direct), normal(served)
    # As text, since Python calls True, 1 and 1.0 equal.
    return _sorted_text(one) == _sorted_text(other) and _schema_text(one) == _schema_text(other)


def difference(direct: Mapping[str, Any], served: Mapping[str, Any]) -> str:
    """The two bodies as a unified diff, messages line by line; empty when they are equal."""
    one, other = _lines(normal(direct)), _lines(normal(served))
    return "\n".join(difflib.unified_diff(one, other, "DSPy directly", "through the gateway", lineterm="", n=2))


def _sorted_text(body: Mapping[str, Any]) -> str:
    return json.dumps(body, sort_keys=True)


def _schema_text(body: Mapping[str, Any]) -> str:
    """The schema that a model is held to, as text: the order of its keys is the order it answers in."""
    response_format = body.get("response_format") or {}
    return json.dumps(response_format.get("json_schema", {}).get("schema"), ensure_ascii=False)


def _lines(body: Mapping[str, Any]) -> list[str]:
    lines = []
    for message in body.get("messages", []):
        content = message.get("content")
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, indent=1)
        lines += [f"--- {message.get('role')} ---", *(repr(line)[1:-1] for line in text.split("\n"))]
        lines += [f"{key}: {value!r}" for key, value in message.items() if key not in ("role", "content")]
    lines += f"schema: {_schema_text(body)}".splitlines()
    rest = {key: value for key, value in body.items() if key != "messages"}
    return lines + json.dumps(rest, ensure_ascii=False, indent=1, sort_keys=True).splitlines()
