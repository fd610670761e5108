"""Quote and parse SQL text as far as the server needs it, such as the format of a result."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from chdb_http.engine_error import EngineError

_SETTING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_COMMENTS = rb"(?:\s|--[^\n]*(?:\n|$)|#[ !][^\n]*(?:\n|$)|/\*.*?\*/)*"
_SELECTS = re.compile(_COMMENTS + rb"\(*\s*(?:SELECT|WITH|FROM)\b", re.IGNORECASE | re.DOTALL)
_FORMAT = re.compile(rb"\bFORMAT\s+(\w+)\s*(?:SETTINGS\b[\w\s=,.+'-]*)?$", re.IGNORECASE)
_INSERTS = re.compile(_COMMENTS + rb"(?:INSERT|WITH)\b", re.IGNORECASE | re.DOTALL)
_BLANK = re.compile(_COMMENTS, re.DOTALL)
_TOKEN = re.compile(
    rb"\s+|--[^\n]*|#[ !][^\n]*|/\*.*?(?:\*/|\Z)"
    rb"|'(?:[^'\\]|\\.|'')*'|`(?:[^`\\]|\\.)*`|\"(?:[^\"\\]|\\.)*\""
    rb"|\$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z)|\xe2\x80\x98.*?(?:\xe2\x80\x99|\Z)|\xe2\x80\x9c.*?(?:\xe2\x80\x9d|\Z)"
    rb"|\w[\w$]*|.",
    re.DOTALL,
)
_BEFORE_NAMES = (b"INTO", b"TABLE", b"FUNCTION", b".")  # a table may be called `format`
_ENDS_OF_HEADS = (b"FORMAT", b"VALUES", b"SELECT", b"WITH", b"FROM", b"WATCH")
_FORMAT_NAME = re.compile(rb"\s+(\w+)[ \t\f]*(?:;?[ \t\f]*\r?\n)?")
_OUTFILE = re.compile(rb"\bINTO\s+OUTFILE\b", re.IGNORECASE)
_PROBE = re.compile(rb"\s*SELECT\s+1(?:\s+FORMAT\s+\w+)?\s*;?\s*", re.IGNORECASE)
_INFILE = re.compile(rb"\bINFILE\b", re.IGNORECASE)
_INPUT = re.compile(rb"\binput\b")


def quoted_name(name: str) -> str:
    """Return any `name` as an identifier."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def quoted_text(text: str) -> str:
    """Return any `text` as a string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def quoted_texts(texts: Iterable[str]) -> str:
    """Return `texts` as an array of string literals."""
    return "[{}]".format(", ".join(map(quoted_text, texts)))


@dataclass(frozen=True)
class InsertedRows:
    """An INSERT that is followed by rows in a format."""

    head: bytes
    """`INSERT INTO t (a, b)`."""
    settings: bytes
    """`SETTINGS a = 1`, or nothing."""
    format: str
    rows: bytes

    @property
    def statement(self) -> bytes:
        """Return the INSERT without its format."""
        return self.head + self.settings

    def from_file(self, path: str) -> bytes:
        """Return the INSERT with its format, for rows in the file `path`, which must not come from a client."""
        file = f"\nFROM INFILE {quoted_text(path)} COMPRESSION 'none'\n".encode()
        return self.head + file + self.settings + b"\nFORMAT " + self.format.encode()


def inserted_rows(sql: bytes) -> InsertedRows | None:
    """Return the parts of an INSERT with FORMAT, or None for every other statement.

    The engine must get rows apart from the statement: given both as one text, it ends the rows at the first empty line
    and takes what follows for a statement.
    """
    head = _head_of(sql)
    named = _FORMAT_NAME.match(sql, head.end) if head and head.last == b"FORMAT" else None
    if head is None or named is None:
        return None
    target, settings = sql[: head.settings], sql[head.settings : head.start]
    return InsertedRows(target, settings, named.group(1).decode(), sql[named.end() :])


def reads_infile(sql: bytes) -> bool:
    """Return whether `sql` is an INSERT of a file, which would be the server's file instead of the client's."""
    if _INFILE.search(sql) is None or not _INSERTS.match(sql):
        return False
    head = _head_of(sql)
    if head is None:
        return True  # its head cannot be parsed
    return head.last == b"FROM" and _next_word(sql, head.end) == b"INFILE"


def reads_input(sql: bytes) -> bool:
    """Return whether `sql` is an INSERT of a query that reads `input()`."""
    head = _head_of(sql) if _INPUT.search(sql) else None
    if head is None or head.last not in (b"SELECT", b"WITH", b"FROM"):
        return False
    words = (token.group() for token in _TOKEN.finditer(sql, head.end))
    solid = [word for word in words if not _BLANK.fullmatch(word)]
    return (b"input", b"(") in pairwise(solid)


@dataclass(frozen=True)
class _Head:
    """The position where the target of an INSERT ends."""

    last: bytes
    """The word after it."""
    start: int
    end: int
    settings: int
    """Where its settings start; its end if it has none."""


def _head_of(sql: bytes) -> _Head | None:
    if not _INSERTS.match(sql):
        return None
    depth, before, inserting, settings = 0, b"", False, 0
    for token in _TOKEN.finditer(sql):
        word = token.group().upper()
        depth += (word == b"(") - (word == b")")
        if depth == 0 and before not in _BEFORE_NAMES:
            if inserting and word in _ENDS_OF_HEADS:
                return _Head(word, token.start(), token.end(), settings or token.start())
            if not inserting and word in (b"SELECT", b"FROM"):
                return None
            inserting = inserting or word == b"INSERT"
            settings = settings or (token.start() if word == b"SETTINGS" else 0)
        if not _BLANK.fullmatch(word):
            before = word
    return None


def _next_word(sql: bytes, start: int) -> bytes:
    words = (token.group().upper() for token in _TOKEN.finditer(sql, start))
    return next((word for word in words if not _BLANK.fullmatch(word)), b"")


def escaped_parameter(text: str) -> str:
    """Return `text` in the notation of query parameters."""
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def set_statement(settings: Mapping[str, str]) -> str:
    """Return `SET` for all of `settings`. Raises EngineError for a name that is not valid."""
    for name in settings:
        if not _SETTING_NAME.fullmatch(name):
            raise EngineError("UNKNOWN_SETTING", f"Unknown setting {quoted_text(name)}.")
    # Quoted numbers are read as numbers; unquoted ones are refused by settings that are texts.
    return "SET " + ", ".join(f"{name} = {quoted_text(value)}" for name, value in settings.items())


def checked_format(name: str) -> str:
    """Return `name` if it is valid as the name of a format. Raises EngineError if not."""
    if not _SETTING_NAME.fullmatch(name):
        raise EngineError("UNKNOWN_FORMAT", f"Unknown format {quoted_text(name)}.")
    return name


def is_select(sql: bytes) -> bool:
    """Return whether `sql` begins like a query whose result may be large."""
    return _SELECTS.match(sql) is not None


def is_probe(sql: bytes) -> bool:
    """Return whether `sql` only checks that the server answers."""
    return _PROBE.fullmatch(sql) is not None


def is_insert(sql: bytes) -> bool:
    """Return whether `sql` begins like an INSERT."""
    return _INSERTS.match(sql) is not None


def writes_outfile(sql: bytes) -> bool:
    """Return whether `sql` mentions `INTO OUTFILE`, which would write to the server's disk instead of the client's."""
    return _OUTFILE.search(sql) is not None


def has_comments(sql: bytes) -> bool:
    """Return whether `sql` may have comments, so that a format at its end may be part of one."""
    return b"--" in sql or b"/*" in sql or b"#" in sql


def named_format(sql: bytes) -> str | None:
    """Return the format that `sql` names at its end, or None."""
    named = _FORMAT.search(_strip_end(sql))
    return named.group(1).decode() if named else None


def with_outfile(sql: bytes, path: str, default_format: str) -> bytes:
    """Return the query `sql` with its result written to the pipe `path`.

    Where `sql` has something behind its format that this does not know, the engine answers with a syntax error.
    """
    sql = _strip_end(sql)
    named = _FORMAT.search(sql)
    outfile = f"\nINTO OUTFILE {quoted_text(path)} APPEND COMPRESSION 'none'\n".encode()
    if named:
        return sql[: named.start()] + outfile + sql[named.start() :]
    return sql + outfile + b"FORMAT " + default_format.encode()


def columns_of_types(types: str) -> str:
    """Return the structure for types such as `UInt8, Map(String, String)`, with ClickHouse's names `_1`, `_2`."""
    depth, parts = 0, [""]
    for letter in types:
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return ", ".join(f"_{number} {part.strip()}" for number, part in enumerate(parts, 1))


def _strip_end(sql: bytes) -> bytes:
    return sql.rstrip(b"; \t\r\n")
