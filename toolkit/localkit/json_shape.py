"""Convert parsed JSON to frozen dataclasses, with an error that names the key of a wrong value."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

_NAMES = {str: "a string", bool: "true or false", int: "a whole number", float: "a number", NoneType: "null"}


class ShapeError(ValueError):
    """A value has the wrong type; the message names its key."""


def to_dataclass(kind: type[T], value: Any, key: str = "", *, known_only: bool = True) -> T:
    """Convert `value`, as `json.loads` returns it, to the dataclass `kind`, with nested dataclasses.

    Args:
        kind: a dataclass whose fields are strings, numbers, booleans, None, mappings, sequences and dataclasses.
        value: the value; an integer is accepted for a float.
        key: the key of the value in its file, for the error.
        known_only: whether a key that the dataclass does not have is an error; otherwise it is dropped.

    Raises:
        ShapeError: if a key is missing or unknown, or its value has the wrong type.
    """
    if not isinstance(value, dict):
        raise ShapeError(f"{key or 'it'} is {_describe(value)}, not an object")
    hints, known = get_type_hints(kind), {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    prefix = f"{key}." if key else ""
    for name in value:
        if name not in known and known_only:
            raise ShapeError(f"{prefix}{name} is not a known key")
    for name, field in known.items():
        if name not in value and field.default is MISSING and field.default_factory is MISSING:
            raise ShapeError(f"{prefix}{name} is missing")
    return kind(
        **{name: _convert(hints[name], item, f"{prefix}{name}") for name, item in value.items() if name in known}
    )


def _convert(hint: Any, value: Any, key: str) -> Any:
    if hint is Any:
        return value
    if is_dataclass(hint):
        return to_dataclass(hint, value, key)  # type: ignore[arg-type]
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _of_any(inner, value, key)
    if origin is Literal:
        if value not in inner or isinstance(value, bool):
            raise ShapeError(f"{key} is {_describe(value)}, not {' or '.join(map(repr, inner))}")
        return value
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(inner, value, key)
    if origin is not None and issubclass(origin, Sequence):
        items = _sequence(inner[0], value, key)
        return list(items) if origin is list else items
    return _plain(hint, value, key)


def _of_any(kinds: tuple[Any, ...], value: Any, key: str) -> Any:
    if value is None and NoneType in kinds:
        return None
    others = [kind for kind in kinds if kind is not NoneType]
    for kind in others[:-1]:
        try:
            return _convert(kind, value, key)
        except ShapeError:
            continue
    return _convert(others[-1], value, key)


def _mapping(inner: tuple[Any, ...], value: Any, key: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ShapeError(f"{key} is {_describe(value)}, not an object")
    return {name: _convert(inner[1], item, f"{key}.{name}") for name, item in value.items()}


def _sequence(inner: Any, value: Any, key: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise ShapeError(f"{key} is {_describe(value)}, not a list")
    return tuple(_convert(inner, item, f"{key}[{number}]") for number, item in enumerate(value))


def _plain(hint: Any, value: Any, key: str) -> Any:
    fits = isinstance(value, hint) and (hint is bool or not isinstance(value, bool))
    if hint is float:
        fits = isinstance(value, int | float) and not isinstance(value, bool)
    if not fits:
        raise ShapeError(f"{key} is {_describe(value)}, not {_NAMES.get(hint, hint)}")
    return value


def _describe(value: Any) -> str:
    """Return the kind of a value; never the value, which may be private."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return _NAMES.get(type(value), type(value).__name__)
