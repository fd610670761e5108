"""Check JSON rows in Python. The engine accepts every row that passes; only the engine can check the other rows.

The usual rows of clients pass. The check takes a fraction of the time that a check by the engine takes.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from chdb_http.connection import Connection

Takes = Callable[[Any], bool]

_CONSTRAINED = (
    "SELECT create_table_query LIKE '% CONSTRAINT %' FROM system.tables "
    "WHERE database = {database:String} AND name = {name:String}"
)
_COLUMNS = (
    "SELECT name, type, default_kind, default_expression FROM system.columns "
    "WHERE database = {database:String} AND table = {name:String}"
)
_SAFE_DEFAULT = re.compile(r"|map\(\)|false|true|''|\d+|UUIDv7ToDateTime\((\w+)\)")
"""Default expressions that cannot fail for a row that has the column in their argument."""
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DECIMAL = re.compile(r"-?[0-9]{1,9}(?:\.[0-9]{1,9})?")
_DIGITS = re.compile(r"[0-9]{1,78}")
_ENUM = re.compile(r"Enum8\((.*)\)")
_ENUM_NAME = re.compile(r"'([^'\\]*)' = -?\d+")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class PlainRows:
    """The columns of a table whose values this check supports."""

    def __init__(self, columns: Mapping[str, Takes], required: frozenset[str]) -> None:
        """`columns` maps a column to the check of its values. Defaults read the `required` columns."""
        self._columns, self._required = columns, required

    def count(self, rows: bytes) -> int:
        """Return the number of `rows`, which are JSON lines, if the engine certainly accepts all; otherwise 0."""
        objects = _parse(rows)
        return len(objects) if all(map(self._takes, objects)) else 0

    def _takes(self, row: Any) -> bool:
        if not isinstance(row, dict) or not self._required <= row.keys():
            return False
        return all(name in self._columns and self._columns[name](value) for name, value in row.items())


def read_columns(connection: Connection, database: str, name: str) -> PlainRows | None:
    """Return the check for a table, or None if only the engine can check its rows. Raises EngineError."""
    if connection.run(_CONSTRAINED, database=database, name=name).bytes() != b"0\n":
        return None
    answer = connection.run(_COLUMNS, "JSONCompactEachRow", database=database, name=name)
    columns = [json.loads(line) for line in answer.bytes().splitlines()]
    defaults = [_SAFE_DEFAULT.fullmatch(expression) for _, _, _, expression in columns]
    if not all(defaults):
        return None
    required = frozenset(default[1] for default in defaults if default and default[1])
    return PlainRows({name: _check(type) for name, type, kind, _ in columns if kind in ("", "DEFAULT")}, required)


def _check(type: str) -> Takes:
    if type.startswith("Nullable(") and type.endswith(")"):
        inner = _check(type[len("Nullable(") : -1])
        return lambda value: value is None or inner(value)
    if enum := _ENUM.fullmatch(type):
        names = frozenset(_ENUM_NAME.findall(enum[1]))
        return lambda value: isinstance(value, str) and value in names
    return _TYPES.get(type, lambda _: False)


def _parse(rows: bytes) -> list[Any]:
    """Return the values of `rows`; an empty list if another JSON parser might read one of them differently."""
    try:
        values = [_READER.decode(line.decode()) for line in rows.split(b"\n") if line.strip()]
        if _SURROGATE.search(rows):  # half of a surrogate pair is not a character
            json.dumps(values, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return []
    return values


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_TYPES: dict[str, Takes] = {
    "String": lambda value: isinstance(value, str | dict | list),  # the engine keeps the JSON of an object or a list
    "LowCardinality(String)": _is_text,
    "UUID": lambda value: _is_text(value) and _UUID.fullmatch(value) is not None,
    "UInt32": lambda value: type(value) is int and 0 <= value < 1 << 32,
    "UInt256": lambda value: _is_text(value) and bool(_DIGITS.fullmatch(value)) and int(value) < 1 << 256,
    "Bool": lambda value: isinstance(value, bool),
    "Decimal(18, 9)": lambda value: _is_text(value) and _DECIMAL.fullmatch(value) is not None,
    "Array(String)": lambda value: isinstance(value, list) and all(map(_is_text, value)),
    "Map(String, String)": lambda value: isinstance(value, dict) and all(map(_is_text, value.values())),
}


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("A name occurs twice.")
    return made


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON.")


def _parse_int(digits: str) -> int:
    if digits == "-0":
        raise ValueError("Not every column accepts -0.")
    return int(digits)


_READER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse_constant, parse_int=_parse_int)
