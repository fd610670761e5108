"""Convert a program's prediction to the text that the gateway expects from the program function."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import dspy
import jsonschema
import pydantic
from dspy.adapters.utils import serialize_for_json

from t0dspy.errors import ProgramError
from t0dspy.model import Schema, Text
from t0dspy.runtime.chat_text import chat_text


def answer_text(prediction: Any, schema: Schema, text: Text, program: str) -> str:
    """Return the outputs as one JSON object, or in ChatAdapter's text form if the program function has type chat.

    Args:
        prediction: what the program returned; fields that the schema lacks are left out.
        schema: the exported output schema.
        text: the type of the program function.
        program: the program and version, for errors.

    Raises:
        ProgramError: `prediction` is not a prediction, or its fields differ from the exported ones. The message
            contains no values, because they may quote the user.
    """
    outputs = _outputs(prediction, schema, program)
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(outputs))
    if error is not None:
        location = ".".join(map(str, error.absolute_path)) or "the outputs"
        raise ProgramError(
            f"{program} returned an output that does not fit its exported schema: {location} breaks "
            f"{error.validator!r}. Correct the program, or export it again."
        )
    return json.dumps(outputs, ensure_ascii=False) if text == "json" else chat_text(outputs)


def _outputs(prediction: Any, schema: Schema, program: str) -> dict[str, Any]:
    if not isinstance(prediction, dspy.Prediction | Mapping):
        raise ProgramError(f"{program} returned {type(prediction).__name__}, not a dspy.Prediction.")
    wanted = [name for name in schema["properties"] if name in prediction]
    missing = [name for name in schema.get("required", ()) if name not in wanted]
    if missing:
        raise ProgramError(f"{program} returned no {missing[0]!r}, which its exported schema has.")
    return {name: as_validated(prediction[name]) for name in wanted}


def as_validated(value: Any) -> Any:
    """Return `value` as JSON, with fields named by their validation aliases, as in output schemas."""
    if isinstance(value, pydantic.BaseModel):
        plain = value.model_dump(mode="json", by_alias=False)
        fields = type(value).model_fields
        known = {_alias(name, info): _inner(getattr(value, name), plain[name]) for name, info in fields.items()}
        return known | {name: extra for name, extra in plain.items() if name not in fields}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: as_validated(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(serialize_for_json(name)): as_validated(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [as_validated(item) for item in value]
    return serialize_for_json(value)


def _inner(value: Any, plain: Any) -> Any:
    """Return a nested value under its validation aliases, and a leaf as the model's own serializers wrote it."""
    nested = isinstance(value, pydantic.BaseModel | Mapping | list | tuple | set | frozenset)
    return as_validated(value) if nested or dataclasses.is_dataclass(value) else plain


def _alias(name: str, info: Any) -> str:
    alias = info.validation_alias or info.alias
    if isinstance(alias, pydantic.AliasChoices):
        alias = alias.choices[0]
    if isinstance(alias, pydantic.AliasPath):
        alias = alias.path[0]
    return alias if isinstance(alias, str) else name
