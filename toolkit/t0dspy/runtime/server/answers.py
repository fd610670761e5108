"""A program's prediction as the text that the gateway expects of the program function."""

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


def answer_text(prediction: Any, schema: Schema, text: Text, what: str) -> str:
    """The outputs as one JSON object, or in ChatAdapter's text where the program function is of type chat.

    Args:
        prediction: what the program returned; fields that the schema lacks are left out.
        schema: the exported output schema.
        text: the type of the program function.
        what: the program and version, for errors.

    Raises:
        ProgramError: it is no prediction, or its fields are not those that were exported. Values stay out of the
            message.
    """
    outputs = _outputs(prediction, schema, what)
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(outputs))
    if error is not None:
        where = ".".join(map(str, error.absolute_path)) or "the outputs"
        raise ProgramError(
            f"{what} returned an output that does not fit its exported schema: {where} breaks {error.validator!r}. "
            "Correct the program, or export it again."
        )
    return json.dumps(outputs, ensure_ascii=False) if text == "json" else chat_text(outputs)


def _outputs(prediction: Any, schema: Schema, what: str) -> dict[str, Any]:
    if not isinstance(prediction, dspy.Prediction | Mapping):
        raise ProgramError(f"{what} returned {type(prediction).__name__}, not a dspy.Prediction.")
    wanted = [name for name in schema["properties"] if name in prediction]
    missing = [name for name in schema.get("required", ()) if name not in wanted]
    if missing:
        raise ProgramError(f"{what} returned no {missing[0]!r}, which its exported schema has.")
    return {name: as_validated(prediction[name]) for name in wanted}


def as_validated(value: Any) -> Any:
    """`value` as JSON under the names by which its types are validated, as output schemas have them."""
    if isinstance(value, pydantic.BaseModel):
        plain = value.model_dump(mode="json", by_alias=False)
        fields = type(value).model_fields
        known = {_alias(name, info): _inner(getattr(value, name), plain[name]) for name, info in fields.items()}
        return known | {name: one for name, one in plain.items() if name not in fields}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: as_validated(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(serialize_for_json(name)): as_validated(one) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [as_validated(one) for one in value]
    return serialize_for_json(value)


def _inner(value: Any, plain: Any) -> Any:
    """A model's own serializers decide about leaves; names inside are those of validation."""
    nested = isinstance(value, pydantic.BaseModel | Mapping | list | tuple | set | frozenset)
    return as_validated(value) if nested or dataclasses.is_dataclass(value) else plain


def _alias(name: str, info: Any) -> str:
    alias = info.validation_alias or info.alias
    if isinstance(alias, pydantic.AliasChoices):
        alias = alias.choices[0]
    if isinstance(alias, pydantic.AliasPath):
        alias = alias.path[0]
    return alias if isinstance(alias, str) else name
