"""Convert the values that programs return to JSON values, with the names that exported output schemas have."""

import dataclasses
from collections.abc import Mapping
from enum import Enum
from typing import Any

import dspy
import pydantic
from dspy.adapters.utils import serialize_for_json


def fields_of(value: Any) -> dict[str, Any] | None:
    """Return the fields of a prediction, dict, model or other object; None if `value` has no fields."""
    if value is None:
        return {}
    if isinstance(value, dspy.Example):
        return {name: value[name] for name in value.keys()}  # noqa: SIM118 - an Example is not a mapping
    if isinstance(value, Mapping):
        return {str(name): item for name, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return dict(value._asdict())
    if isinstance(value, pydantic.BaseModel) or dataclasses.is_dataclass(value):
        plain = as_validated(value)
        return plain if isinstance(plain, dict) else None
    return _attributes(value)


def _attributes(value: Any) -> dict[str, Any] | None:
    """Return the public attributes of an object of a class that the user wrote."""
    if isinstance(value, type | Enum) or type(value).__module__ == "builtins" or not hasattr(value, "__dict__"):
        return None
    return {name: item for name, item in vars(value).items() if not name.startswith("_") and not callable(item)}


def as_validated(value: Any) -> Any:
    """Return `value` as JSON, with fields named by their validation aliases, as in output schemas."""
    if isinstance(value, pydantic.BaseModel):
        return _model(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: as_validated(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dspy.Example):
        return {name: as_validated(item) for name, item in (fields_of(value) or {}).items()}
    if isinstance(value, Mapping):
        return {str(serialize_for_json(name)): as_validated(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [as_validated(item) for item in value]
    if hasattr(value, "dtype") and hasattr(value, "tolist"):  # NumPy
        return as_validated(value.tolist())
    return _leaf(value)


def _leaf(value: Any) -> Any:
    try:
        return pydantic.TypeAdapter(type(value)).dump_python(value, mode="json")
    except Exception:  # pydantic has no schema for the class, or a serializer of the user's failed
        attributes = _attributes(value)
        return as_validated(attributes) if attributes else serialize_for_json(value)


def _model(value: pydantic.BaseModel) -> Any:
    plain: Any = value.model_dump(mode="json", by_alias=False)
    if not isinstance(plain, dict):  # a root model, or a model with a serializer of its own
        return plain
    fields = type(value).model_fields
    kept = {name: info for name, info in fields.items() if name in plain}  # a model may exclude a field from dumps
    known = {_alias(name, info): _inner(getattr(value, name), plain[name]) for name, info in kept.items()}
    return known | {name: extra for name, extra in plain.items() if name not in fields}


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
