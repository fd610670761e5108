"""Decide how an input reaches a template: typed where it prints as DSPy prints it, else as text."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema_rs
from dspy import Signature
from dspy.adapters.utils import format_field_value, serialize_for_json
from pydantic.fields import FieldInfo

from t0dspy.artifact.text_values import TEXT, text_value
from t0dspy.compiler.printing import Printer
from t0dspy.compiler.schema import GREATEST_INTEGER, LEAST_INTEGER, UNTYPED, has_default, input_schema, is_untyped
from t0dspy.model import Schema, Text

_DEEPEST = 60
"""The deepest nesting that is sent as typed JSON; the gateway fails beyond 69 (TensorZero 2026.6)."""


@dataclass(frozen=True)
class _Field:
    name: str
    info: FieldInfo
    takes_any_string: bool
    may_be_omitted: bool
    """Whether an omitted argument prints nothing."""
    validator: Any


class Arguments:
    """Writes the arguments of a predictor's template, and the text that DSPy prints for them."""

    def __init__(self, signature: type[Signature], text: Text) -> None:
        """Prepare for the input fields of `signature` in the adapter text `text`."""
        schema = input_schema(signature)
        self._printer = Printer(schema)
        self._block = "<{0}>\n{1}\n</{0}>" if text == "xml" else "[[ ## {0} ## ]]\n{1}"
        self._fields = [_field(name, info, schema) for name, info in signature.input_fields.items()]

    def render(self, inputs: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        """Return the template's arguments for `inputs`, and the input message that DSPy writes above the reminder.

        Args:
            inputs: the values of a call, with DSPy's defaults filled in. DSPy takes any value for any field.
        """
        arguments: dict[str, Any] = {}
        blocks = []
        for field in self._fields:
            if field.name in inputs:
                arguments[field.name], text = self._argument(field, inputs[field.name])
                blocks.append(self._block.format(field.name, text))
            elif not field.may_be_omitted:
                arguments[field.name] = text_value(None)
        return arguments, "\n\n".join(blocks)

    def _argument(self, field: _Field, value: Any) -> tuple[Any, str]:
        if type(value) is str and field.takes_any_string:
            return value, value
        text = str(format_field_value(field.info, value))
        json_value = serialize_for_json(value)
        if not is_safe(json_value):
            return text_value(text), text
        if field.validator.is_valid(json_value) and self._twin(field, json_value) == text:
            return json_value, text
        return text_value(text, json_value), text

    def _twin(self, field: _Field, json_value: Any) -> str:
        """Return what the template prints for `json_value`."""
        if isinstance(json_value, list) and is_untyped(field.info):
            return str(format_field_value(field.info, json_value))
        return self._printer.text(field.name, json_value)


def _field(name: str, info: FieldInfo, schema: Schema) -> _Field:
    part = {key: value for key, value in schema["properties"][name].items() if key != "default"}
    defs = {"$defs": schema["$defs"]} if "$defs" in schema else {}
    validator = jsonschema_rs.Draft202012Validator({**part, **defs})
    omitted = name not in schema["required"] and not has_default(info)
    return _Field(name, info, part in ({"type": "string"}, UNTYPED), omitted, validator)


def is_safe(value: Any) -> bool:
    """Return whether the gateway's JSON and templates keep `value` as it is."""
    rest = [(value, 0)]  # not by recursion, because a value may be nested more deeply than Python calls may be
    while rest:
        part, depth = rest.pop()
        if isinstance(part, dict):
            if TEXT in part or depth >= _DEEPEST or not all(type(key) is str for key in part):
                return False
            rest.extend((item, depth + 1) for item in part.values())
        elif isinstance(part, list):
            if depth >= _DEEPEST:
                return False
            rest.extend((item, depth + 1) for item in part)
        elif not _is_safe_leaf(part):
            return False
    return True


def _is_safe_leaf(value: Any) -> bool:
    if value is None or isinstance(value, bool | str):
        return True
    if isinstance(value, int):
        return LEAST_INTEGER <= value <= GREATEST_INTEGER
    return isinstance(value, float) and math.isfinite(value)
