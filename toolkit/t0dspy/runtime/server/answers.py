"""Convert what a program returns to the text that the gateway expects from the program function."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import dspy
import jsonschema

from t0dspy.errors import ProgramError
from t0dspy.model import Schema, Text
from t0dspy.runtime.chat_text import answer_in
from t0dspy.runtime.server.plain import as_validated, fields_of

_BOUNDS = (
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("minLength", "maxLength", "pattern", "minItems", "maxItems"),
)
"""Keywords for the bounds of a field, which DSPy writes into the prompt and does not check in an answer."""


def answer_text(returned: Any, schema: Schema, text: Text, program: str) -> str:
    """Return the outputs as one JSON object, or in another adapter's text form if the function's first version had it.

    A prediction, a dict or an object gives its fields; fields that the schema lacks are left out. Any other value is
    the value of the only output.

    Args:
        returned: what the program returned.
        schema: the exported output schema.
        text: the type of the program function.
        program: the program and version, for errors.

    Raises:
        ProgramError: the returned fields differ from the exported ones. The message names the field and contains no
            values, because they may quote the user.
    """
    outputs = _fitting(returned, schema, program)
    return answer_in(text, outputs)


def _fitting(returned: Any, schema: Schema, program: str) -> dict[str, Any]:
    """Return the first reading of `returned` that fits the schema."""
    reasons = []
    for outputs in _readings(returned, schema):
        reason = _misfit(outputs, schema)
        if not reason:
            return outputs
        reasons.append(reason)
    if not reasons:
        names = ", ".join(schema["properties"])
        raise ProgramError(f"{program} returned {type(returned).__name__}, but its exported schema has {names}.")
    raise ProgramError(f"{program} returned {reasons[0]}. Correct the program, or export it again.")


def _readings(returned: Any, schema: Schema) -> Iterator[dict[str, Any]]:
    """Yield the ways to see `returned` as output fields, the most likely first."""
    fields = fields_of(returned)
    is_mapping = isinstance(returned, dspy.Example | Mapping)
    if is_mapping and fields is not None:
        yield _wanted(fields, schema)
    if len(schema["properties"]) == 1 and not isinstance(returned, dspy.Example):
        (name,) = schema["properties"]
        yield {name: as_validated(returned)}
    if not is_mapping and fields is not None:
        yield _wanted(fields, schema)


def _wanted(fields: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    return {name: as_validated(fields[name]) for name in schema["properties"] if name in fields}


def _misfit(outputs: dict[str, Any], schema: Schema) -> str:
    """Return how `outputs` differs from the schema, for a message; empty if it fits."""
    missing = [name for name in schema.get("required", ()) if name not in outputs]
    if missing:
        return f"no {missing[0]!r}, which its exported schema has"
    endless = [name for name, value in outputs.items() if _holds_nan(value)]
    if endless:
        return f"NaN or infinity in {endless[0]!r}, which JSON cannot encode"
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(_lenient(schema)).iter_errors(outputs))
    if error is None:
        return ""
    location = ".".join(map(str, error.absolute_path)) or "the outputs"
    return f"an output that does not fit its exported schema: {location} breaks {error.validator!r}"


def _holds_nan(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_nan, value.values()))
    if isinstance(value, list):
        return any(map(_holds_nan, value))
    return isinstance(value, float) and not math.isfinite(value)


def _lenient(schema: Schema) -> Schema:
    return {**schema, "properties": {name: _without_bounds(part) for name, part in schema["properties"].items()}}


def _without_bounds(part: Schema) -> Schema:
    kept = {key: value for key, value in part.items() if key not in _BOUNDS or "prefixItems" in part}
    return {**kept, "anyOf": [_without_bounds(option) for option in part["anyOf"]]} if "anyOf" in part else kept
