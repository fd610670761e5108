"""Compare two recorded request bodies, with a fixed list of allowed differences."""

import difflib
import json
import struct
from collections.abc import Mapping
from typing import Any

F32_SETTINGS = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
"""The gateway stores these as 32-bit floats, so 0.7 arrives as 0.699999988079071."""


def normal(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return `body` without the allowed differences.

    - `stream: false` means the same as no `stream`.
    - Sampling floats are rounded to 32 bits, because the gateway stores them so.
    - `max_tokens` is the older name of `max_completion_tokens`.
    """
    kept = {key: value for key, value in body.items() if key != "stream" or value is not False}
    for key in F32_SETTINGS:
        if type(kept.get(key)) in (int, float):
            kept[key] = struct.unpack("f", struct.pack("f", kept[key]))[0]
    if "max_tokens" in kept and "max_completion_tokens" not in kept:
        kept["max_completion_tokens"] = kept.pop("max_tokens")
    return kept


def equal(direct: Mapping[str, Any], served: Mapping[str, Any]) -> bool:
    """Return whether the bodies are equal except for allowed differences; the order of schema fields matters."""
    left, right = normal(direct), normal(served)
    # Compare as text, because Python treats True, 1 and 1.0 as equal.
    return _sorted_text(left) == _sorted_text(right) and _schema_text(left) == _schema_text(right)


def difference(direct: Mapping[str, Any], served: Mapping[str, Any]) -> str:
    """Return a unified diff of the bodies, with messages line by line; "" if they are exactly equal."""
    left, right = _lines(direct), _lines(served)
    return "\n".join(difflib.unified_diff(left, right, "DSPy directly", "through the gateway", lineterm="", n=2))


def _sorted_text(body: Mapping[str, Any]) -> str:
    return json.dumps(body, sort_keys=True)


def same_format(direct: Mapping[str, Any], served: Mapping[str, Any]) -> bool:
    """Return whether both bodies ask for the same form of the answer, with the fields in the same order."""
    left, right = direct.get("response_format"), served.get("response_format")
    return _sorted_text({"": left}) == _sorted_text({"": right}) and _schema_text(direct) == _schema_text(served)


def _schema_text(body: Mapping[str, Any]) -> str:
    """Return the response schema as text, because a model writes its keys in the order of the schema.

    Only the order of properties counts: the gateway's TOML parser moves tables behind the other keys of a table.
    """
    response_format = body.get("response_format") or {}
    return json.dumps(_ordered(response_format.get("json_schema", {}).get("schema")), ensure_ascii=False)


def _ordered(schema: Any, *, keep: bool = False) -> Any:
    if isinstance(schema, list):
        return [_ordered(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _ordered(schema[key], keep=key == "properties") for key in (schema if keep else sorted(schema))}


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
