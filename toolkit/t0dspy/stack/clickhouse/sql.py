"""The little that the front must know about SQL text: how to quote, and where a result's format stands."""

import re
from collections.abc import Mapping

from t0dspy.stack.clickhouse.failure import EngineError

_SETTING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_COMMENTS = rb"(?:\s|--[^\n]*(?:\n|$)|#[ !][^\n]*(?:\n|$)|/\*.*?\*/)*"
_SELECTS = re.compile(_COMMENTS + rb"\(*\s*(?:SELECT|WITH|FROM)\b", re.IGNORECASE | re.DOTALL)
_FORMAT = re.compile(rb"\bFORMAT\s+(\w+)\s*(?:SETTINGS\b[\w\s=,.+'-]*)?$", re.IGNORECASE)
_OUTFILE = re.compile(rb"\bINTO\s+OUTFILE\b", re.IGNORECASE)


def quoted_name(name: str) -> str:
    """`name` as an identifier, whatever is in it."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def quoted_text(text: str) -> str:
    """`text` as a string literal, whatever is in it."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def set_statement(settings: Mapping[str, str]) -> str:
    """`SET` for all of `settings`; EngineError for a name that cannot be a setting's."""
    for name in settings:
        if not _SETTING_NAME.fullmatch(name):
            raise EngineError("UNKNOWN_SETTING", f"Unknown setting {quoted_text(name)}.")
    # Quoted numbers are read as numbers; unquoted ones are refused by settings that are texts.
    return "SET " + ", ".join(f"{name} = {quoted_text(value)}" for name, value in settings.items())


def is_select(sql: bytes) -> bool:
    """Whether `sql` begins like a query whose result may be large."""
    return _SELECTS.match(sql) is not None


def writes_outfile(sql: bytes) -> bool:
    """Whether `sql` mentions `INTO OUTFILE`: elsewhere a client does it, here it would write to the server's disk."""
    return _OUTFILE.search(sql) is not None


def named_format(sql: bytes) -> str | None:
    """The format that `sql` ends by naming, if it does."""
    named = _FORMAT.search(_ended(sql))
    return named.group(1).decode() if named else None


def with_outfile(sql: bytes, path: str, default_format: str) -> bytes:
    """The query `sql`, with its result written to the pipe at `path`; both texts are ours, not a client's.

    Where `sql` has something behind its format that this does not know, the engine answers with a syntax error.
    """
    sql = _ended(sql)
    named = _FORMAT.search(sql)
    outfile = f"\nINTO OUTFILE {quoted_text(path)} APPEND COMPRESSION 'none'\n".encode()
    if named:
        return sql[: named.start()] + outfile + sql[named.start() :]
    return sql + outfile + b"FORMAT " + default_format.encode()


def columns_of_types(types: str) -> str:
    """`UInt8, Map(String, String)` as a structure, with the column names that ClickHouse gives: `_1`, `_2`."""
    depth, parts = 0, [""]
    for letter in types:
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return ", ".join(f"_{number} {part.strip()}" for number, part in enumerate(parts, 1))


def _ended(sql: bytes) -> bytes:
    return sql.rstrip(b"; \t\r\n")
