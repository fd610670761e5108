"""JSON of a file as a frozen dataclass, or one sentence that names the key that has another type."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

_NAMES = {str: "a text", bool: "true or false", int: "a whole number", float: "a number", NoneType: "null"}


class ShapeError(ValueError):
    """A value is not of the type that belongs there; the message names its key."""


def shaped(kind: type[T], value: Any, key: str = "", *, known_only: bool = True) -> T:
    """Return `value`, as `json.loads` gives it, as the dataclass `kind`; nested dataclasses too.

    Args:
        kind: a dataclass whose fields are texts, numbers, booleans, None, mappings, sequences and dataclasses.
        value: the value; a whole number fits where a number belongs.
        key: where it stands, for the error.
        known_only: whether a key that the dataclass does not have is an error; else it is left out.

    Raises:
        ShapeError: a key is missing or unknown, or its value is of another type.
    """
    if not isinstance(value, dict):
        raise ShapeError(f"{key or 'it'} is {_described(value)}, not an object")
    hints, known = get_type_hints(kind), {one.name: one for one in fields(kind)}  # type: ignore[arg-type]
    prefix = f"{key}." if key else ""
    for name in value:
        if name not in known and known_only:
            raise ShapeError(f"{prefix}{name} is not a key that belongs there")
    for name, one in known.items():
        if name not in value and one.default is MISSING and one.default_factory is MISSING:
            raise ShapeError(f"{prefix}{name} is missing")
    return kind(**{name: _checked(hints[name], one, f"{prefix}{name}") for name, one in value.items() if name in known})


def _checked(hint: Any, value: Any, key: str) -> Any:
    if hint is Any:
        return value
    if is_dataclass(hint):
        return shaped(hint, value, key)  # type: ignore[arg-type]
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _of_any(inner, value, key)
    if origin is Literal:
        if value not in inner or isinstance(value, bool):
            raise ShapeError(f"{key} is {_described(value)}, not {' or '.join(map(repr, inner))}")
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
    others = [one for one in kinds if one is not NoneType]
    for one in others[:-1]:
        try:
            return _checked(one, value, key)
        except ShapeError:
            continue
    return _checked(others[-1], value, key)


def _mapping(inner: tuple[Any, ...], value: Any, key: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ShapeError(f"{key} is {_described(value)}, not an object")
    return {name: _checked(inner[1], one, f"{key}.{name}") for name, one in value.items()}


def _sequence(inner: Any, value: Any, key: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise ShapeError(f"{key} is {_described(value)}, not a list")
    return tuple(_checked(inner, one, f"{key}[{number}]") for number, one in enumerate(value))


def _plain(hint: Any, value: Any, key: str) -> Any:
    fits = isinstance(value, hint) and (hint is bool or not isinstance(value, bool))
    if hint is float:
        fits = isinstance(value, int | float) and not isinstance(value, bool)
    if not fits:
        raise ShapeError(f"{key} is {_described(value)}, not {_NAMES.get(hint, hint)}")
    return value


def _described(value: Any) -> str:
    """Return the kind of a value; never the value, which may be a user's."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return _NAMES.get(type(value), type(value).__name__)
