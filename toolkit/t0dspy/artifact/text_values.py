"""Values that reach a template as text, because they do not fit the type of their field or do not print the same.

DSPy takes any value for any field, but the schema of an exported function takes the declared type. Therefore the
property of each field also takes an object with the text that DSPy prints, which the template prints unchanged:

    {"t0dspy::text": "['a', None]", "t0dspy::value": ["a", null]}

The text is null if the caller omitted the field. The value is for the flywheel; templates ignore it.
"""

import json
from collections.abc import Mapping
from typing import Any

from t0dspy.model import Schema, resolve

TEXT = "t0dspy::text"
VALUE = "t0dspy::value"

_PROPERTY: Schema = {
    "type": "object",
    "properties": {TEXT: {"type": ["string", "null"]}, VALUE: {}},
    "required": [TEXT],
    "additionalProperties": False,
}
_IS_TEXT: Schema = {"type": "object", "required": [TEXT]}


_ABSENT = object()


def text_value(text: str | None, value: Any = _ABSENT) -> dict[str, Any]:
    """Return the argument that prints as `text`.

    Args:
        text: what DSPy prints; None if the caller omitted the field.
        value: the value as JSON, for the flywheel; it can be omitted if the value has no JSON form.
    """
    return {TEXT: text} if value is _ABSENT else {TEXT: text, VALUE: value}


def is_text_value(value: Any) -> bool:
    """Return whether `value` is an argument that prints as text."""
    return isinstance(value, Mapping) and TEXT in value


def to_plain(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return `arguments` with the values behind texts; a field that the caller omitted is left out."""
    plain = {}
    for name, value in arguments.items():
        if not is_text_value(value):
            plain[name] = value
        elif value[TEXT] is not None:
            plain[name] = value.get(VALUE, value[TEXT])
    return plain


def keep_order(arguments: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """Return `arguments` with free objects whose keys are not sorted as texts, because the gateway sorts their keys.

    An object that looks like a text value is sent as text too.

    Args:
        arguments: the inputs of a program.
        schema: its typed input schema.
    """
    kept = dict(arguments)
    for name, value in arguments.items():
        part = schema["properties"].get(name)
        if is_text_value(value) or _would_be_sorted(value, part, schema):
            kept[name] = text_value(json.dumps(_completed(value, part, schema), ensure_ascii=False), value)
    return kept


def _would_be_sorted(value: Any, part: Any, schema: Schema) -> bool:
    """Return whether `value` has keys that `part` does not declare and that are not sorted, at any depth."""
    part = resolve(part, schema) if isinstance(part, dict) else {}
    if isinstance(value, list):
        return any(_would_be_sorted(item, part.get("items"), schema) for item in value)
    if not isinstance(value, Mapping):
        return False
    declared, rest = part.get("properties", {}), part.get("additionalProperties")
    free = [key for key in value if key not in declared]
    return free != sorted(free) or any(
        _would_be_sorted(item, declared.get(key, rest), schema) for key, item in value.items()
    )


def _completed(value: Any, part: Any, schema: Schema) -> Any:
    """Return `value` as the template prints it: declared keys first, with their defaults."""
    part = resolve(part, schema) if isinstance(part, dict) else {}
    if isinstance(value, list):
        return [_completed(item, part.get("items"), schema) for item in value]
    if not isinstance(value, Mapping):
        return value
    declared, rest = part.get("properties", {}), part.get("additionalProperties")
    first = {name: value.get(name, each.get("default")) for name, each in declared.items()}
    present = {name: item for name, item in first.items() if name in value or "default" in declared[name]}
    return {name: _completed(item, declared.get(name, rest), schema) for name, item in {**present, **value}.items()}


def accept_text(schema: Schema) -> Schema:
    """Return the input `schema` of a function with the text form allowed for each field.

    `required` stays, so that a plain client still gets a 400 if it omits a field; a caller that omits a field as DSPy
    allows sends the text null.
    """
    # Not `anyOf`, so that the gateway's error names the type that a wrong value does not have.
    properties = {
        name: {"if": _IS_TEXT, "then": _PROPERTY, "else": part} for name, part in schema["properties"].items()
    }
    return {**schema, "properties": properties}


def without_text(schema: Schema) -> Schema:
    """Return the typed schema from which `accept_text` made `schema`; other schemas are returned unchanged."""
    properties = {name: _typed(part) for name, part in schema["properties"].items()}
    return {**schema, "properties": properties}


def _typed(part: Schema) -> Schema:
    typed: Schema = part["else"] if part.get("then") == _PROPERTY else part
    return typed
