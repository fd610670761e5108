"""Whether values fit a schema, fast: the usual fields by a look at their types, the others by `jsonschema`."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jsonschema

from t0dspy.model import Schema

Check = Callable[[Any], bool]


def fits(schema: Schema) -> Check:
    """A check of objects against `schema`, the schema of a function's fields; the answers are `jsonschema`'s own.

    Values that JSON cannot hold (NaN, infinity) do not fit.
    """
    properties = {name: _check(part, schema) for name, part in schema["properties"].items()}
    exact = {name: _EXACT[part["type"]] for name, part in schema["properties"].items() if _is_exact(part)}
    required = frozenset(schema.get("required", ()))

    def check(value: Any) -> bool:
        if not isinstance(value, dict) or not required <= value.keys():
            return False
        for name, one in value.items():
            if type(one) is not exact.get(name):
                known = properties.get(name)
                if known is None or not known(one):
                    return False
        return True

    return check


def _is_exact(part: Schema) -> bool:
    """Whether it is said to be of one type, and of nothing else, that is told by Python's own."""
    return part.keys() - {"default"} == {"type"} and isinstance(part["type"], str) and part["type"] in _EXACT


def _check(part: Schema, whole: Schema) -> Check:
    known = part.keys() - {"default"}
    kind = part.get("type")
    if known == {"type"} and isinstance(kind, str) and kind in _TYPES:
        return _TYPES[kind]
    if known == {"enum"} and all(isinstance(one, str) for one in part["enum"]):
        allowed = frozenset(part["enum"])
        return lambda value: isinstance(value, str) and value in allowed
    if known == {"type", "items"} and kind == "array":
        item = _check(part["items"], whole)
        return lambda value: isinstance(value, list) and all(map(item, value))
    if known == {"anyOf"}:
        branches = [_check(one, whole) for one in part["anyOf"]]
        return lambda value: any(branch(value) for branch in branches)
    return _thorough(part, whole)


def _thorough(part: Schema, whole: Schema) -> Check:
    validator = jsonschema.Draft202012Validator({**part, "$defs": whole.get("$defs", {})})
    return lambda value: _is_finite(value) and validator.is_valid(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value)


def _is_integer(value: Any) -> bool:
    return _is_number(value) and (isinstance(value, int) or value.is_integer())


def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(map(_is_finite, value.values()))
    return not isinstance(value, list) or all(map(_is_finite, value))


_EXACT = {"string": str, "boolean": bool, "integer": int}
"""Types whose values all fit; others may fit as well."""

_TYPES: dict[str, Check] = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": _is_number,
    "integer": _is_integer,
}
