"""Which values of JSON a column is certain to take; of any other, only the engine knows."""

import json
import re
from collections.abc import Callable
from typing import Any

Fits = Callable[[Any], bool]

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DECIMAL = re.compile(r"-?[0-9]{1,9}(?:\.[0-9]{1,9})?")
_DIGITS = re.compile(r"[0-9]{1,78}")
_ENUM = re.compile(r"Enum8\((.*)\)")
_ENUM_NAME = re.compile(r"'([^'\\]*)' = -?\d+")
_PERHAPS_NO_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]")  # a surrogate; without its other half it is none
_MOST_TAGS = 256  # views make a row of each, and the engine's time for that grows with their square


def fits(type: str) -> Fits:
    """What tells whether a column of `type` takes a value."""
    if type.startswith("Nullable(") and type.endswith(")"):
        inner = fits(type[len("Nullable(") : -1])
        return lambda value: value is None or inner(value)
    if enum := _ENUM.fullmatch(type):
        names = frozenset(_ENUM_NAME.findall(enum[1]))
        return lambda value: isinstance(value, str) and value in names
    return _TYPES.get(type, lambda _: False)


def lines(rows: bytes) -> list[bytes]:
    """The rows in JSON by lines."""
    return [line for line in rows.split(b"\n") if line.strip()]


def objects(rows: bytes) -> list[dict[str, Any]]:
    """The rows in JSON by lines, as values; none at all if anybody could read one of them otherwise."""
    try:
        values = [_READER.decode(line.decode()) for line in lines(rows)]
        if _PERHAPS_NO_CHARACTER.search(rows):
            json.dumps(values, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return []
    return values if all(isinstance(value, dict) for value in values) else []


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_TYPES: dict[str, Fits] = {
    "String": lambda value: isinstance(value, str | dict | list),  # of the latter the engine keeps the JSON
    "LowCardinality(String)": _is_text,
    "UUID": lambda value: _is_text(value) and _UUID.fullmatch(value) is not None,
    "UInt32": lambda value: type(value) is int and 0 <= value < 1 << 32,
    "UInt256": lambda value: _is_text(value) and bool(_DIGITS.fullmatch(value)) and int(value) < 1 << 256,
    "Bool": lambda value: isinstance(value, bool),
    "Decimal(18, 9)": lambda value: _is_text(value) and _DECIMAL.fullmatch(value) is not None,
    "Array(String)": lambda value: isinstance(value, list) and all(map(_is_text, value)),
    "Map(String, String)": lambda value: (
        isinstance(value, dict) and len(value) <= _MOST_TAGS and all(map(_is_text, value.values()))
    ),
}


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("A name occurs twice.")
    return made


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON.")


def _whole(digits: str) -> int:
    if digits == "-0":
        raise ValueError("Not every column takes -0.")
    return int(digits)


_READER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_number, parse_int=_whole)
