"""Convert signature fields to JSON Schema.

Input schemas describe what DSPy prints (dumped values, field names). Output schemas describe what a model writes
(validated values, aliases). Both contain names, order, types, enums, bounds and defaults. They omit descriptions,
which are prompt text.
"""

import copy
import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, cast

import dspy
import pydantic
from dspy import Signature
from dspy.adapters.utils import annotation_allows_none, serialize_for_json
from dspy.utils.constants import IS_TYPE_UNDEFINED
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from t0dspy.model import Schema, resolve

JsonMode = Literal["strict", "on"]

LEAST_INTEGER, GREATEST_INTEGER = 1 - 2**63, 2**64 - 1
"""The gateway silently turns an integer outside these bounds into a float; with a schema, it answers 400 instead."""

UNTYPED: Schema = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
"""A field without a type takes a string, or a list of passages, which DSPy prints in a special format."""

_STRICT_KEYWORDS = frozenset(
    (
        *("$defs", "$ref", "type", "properties", "required", "additionalProperties", "items", "anyOf", "enum", "const"),
        *("format", "pattern", "minItems", "maxItems", "multipleOf"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    )
)
"""The keywords that OpenAI's structured outputs accept (their guide, "Supported schemas")."""


def is_untyped(info: FieldInfo) -> bool:
    """Return whether the field was written without a type, as in `"context, question -> answer"`."""
    extra = info.json_schema_extra
    return info.annotation is str and isinstance(extra, Mapping) and bool(extra.get(IS_TYPE_UNDEFINED))


def has_default(info: FieldInfo) -> bool:
    """Return whether DSPy fills in the field if a caller omits it."""
    return info.default is not PydanticUndefined


def is_text_output(info: FieldInfo) -> bool:
    """Return whether the field is an output of a DSPy type that a model writes as text."""
    annotation, extra = info.annotation, info.json_schema_extra
    is_output = isinstance(extra, Mapping) and extra.get("__dspy_field_type") == "output"
    return is_output and isinstance(annotation, type) and issubclass(annotation, dspy.Reasoning | dspy.Code)


def input_schema(signature: type[Signature]) -> Schema:
    """Return the schema of the arguments that a caller sends for the input fields of `signature`.

    Raises:
        pydantic.errors.PydanticUserError: if a type has no JSON form.
    """
    schema = _object_schema(signature.input_fields, "serialization")
    for name, info in signature.input_fields.items():
        if is_untyped(info):
            schema["properties"][name] = copy.deepcopy(UNTYPED)
        if has_default(info):
            schema["properties"][name]["default"] = serialize_for_json(info.default)
        elif annotation_allows_none(info.annotation):
            schema["properties"][name].setdefault("default", None)
    _require_what_has_no_default(schema)
    _bound_integers(schema)
    return schema


def output_schema(signature: type[Signature]) -> tuple[Schema, JsonMode]:
    """Return the schema of an answer and the JSON mode in which to request it from a provider.

    Returns:
        A schema that OpenAI's structured outputs accept and `"strict"`, if the types allow it. Otherwise `"on"` (any
        JSON object) and a schema that the gateway only uses to decide whether an answer is parsed.

    Raises:
        pydantic.errors.PydanticUserError: if a type has no JSON form.
    """
    schema = _object_schema(signature.output_fields, "validation")
    strict = copy.deepcopy(schema)
    for part in subschemas(strict):
        part.pop("default", None)
        if "properties" in part:
            part["required"] = list(part["properties"])
        if not _fits_strict_mode(part):
            _require_what_a_parser_would_miss(schema, signature)
            return schema, "on"
    return strict, "strict"


def subschemas(schema: Schema) -> Iterator[Schema]:
    """Yield `schema` and every schema inside it."""
    yield schema
    inner = [*schema.get("properties", {}).values(), *schema.get("$defs", {}).values()]
    inner += [*schema.get("anyOf", []), *schema.get("prefixItems", [])]
    inner += [schema.get("items"), schema.get("additionalProperties")]
    for part in inner:
        if isinstance(part, dict):
            yield from subschemas(part)


def _object_schema(fields: Mapping[str, FieldInfo], mode: Literal["serialization", "validation"]) -> Schema:
    adapters = [(name, mode, pydantic.TypeAdapter(_with_bounds(info))) for name, info in fields.items()]
    by_field, shared = pydantic.TypeAdapter.json_schemas(
        cast("Any", adapters), by_alias=mode == "validation", ref_template="#/$defs/{model}"
    )
    schema: Schema = {
        "type": "object",
        "properties": {name: dict(by_field[name, mode]) for name in fields},
        "required": list(fields),
        "additionalProperties": False,
    }
    schema |= {"$defs": shared["$defs"]} if "$defs" in shared else {}
    for part in subschemas(schema):
        _tidy(part)
        _let_keys_be_text(part, schema)
        if mode == "serialization" and "properties" in part:
            _require_what_has_no_default(part)
    return schema


def _with_bounds(info: FieldInfo) -> Any:
    annotation = str if is_text_output(info) else info.annotation
    return Annotated[(annotation, *info.metadata)] if info.metadata else annotation


def _tidy(part: Schema) -> None:
    for prompt_text in ("title", "description", "examples", "deprecated", "readOnly", "writeOnly"):
        part.pop(prompt_text, None)
    if "oneOf" in part:  # a tagged union; each branch has the tag as a const
        part["anyOf"] = part.pop("oneOf")
        part.pop("discriminator", None)
    if "properties" in part:
        part.setdefault("additionalProperties", False)


def _let_keys_be_text(part: Schema, schema: Schema) -> None:
    names = resolve(part.get("propertyNames", {}), schema)
    if not all(isinstance(name, str) for name in names.get("enum", [names.get("const", "")])):
        del part["propertyNames"]  # a number as a key is a string in JSON, so it would never match


def _require_what_has_no_default(part: Schema) -> None:
    part["required"] = [name for name, property in part["properties"].items() if "default" not in property]


def _require_what_a_parser_would_miss(schema: Schema, signature: type[Signature]) -> None:
    schema["required"] = [
        name
        for name, info in signature.output_fields.items()
        if not has_default(info) and not annotation_allows_none(info.annotation)
    ]


def _bound_integers(schema: Schema) -> None:
    for part in subschemas(schema):
        if part.get("type") == "integer" and not part.keys() & {"enum", "const"}:
            if part.get("exclusiveMinimum", -math.inf) < LEAST_INTEGER:
                part["minimum"] = max(part.get("minimum", LEAST_INTEGER), LEAST_INTEGER)
            if part.get("exclusiveMaximum", math.inf) > GREATEST_INTEGER:
                part["maximum"] = min(part.get("maximum", GREATEST_INTEGER), GREATEST_INTEGER)


def _fits_strict_mode(part: Schema) -> bool:
    if not part or set(part) - _STRICT_KEYWORDS:
        return False
    if part.get("type") == "object" and part.get("additionalProperties") is not False:
        return False
    return not (part.get("type") == "array" and "items" not in part)
