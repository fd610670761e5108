"""ClickHouse's errors: their text and their HTTP status."""

import logging
import re

# What the front itself refuses, in the engine's name.
_CODES = {
    "BAD_ARGUMENTS": 36,
    "NOT_IMPLEMENTED": 48,
    "SYNTAX_ERROR": 62,
    "UNKNOWN_FORMAT": 73,
    "UNKNOWN_TYPE_OF_QUERY": 78,
    "UNKNOWN_SETTING": 115,
    "READONLY": 164,
    "REQUIRED_PASSWORD": 194,
    "CANNOT_DECOMPRESS": 271,
    "DATABASE_ACCESS_DENIED": 291,
    "INTO_OUTFILE_NOT_ALLOWED": 358,
    "SESSION_NOT_FOUND": 372,
    "SESSION_IS_LOCKED": 373,
    "INVALID_SESSION_TIMEOUT": 374,
    "QUERY_WAS_CANCELLED": 394,
    "AUTHENTICATION_FAILED": 516,
}

# The map of ClickHouse's HTTP handler; what it does not list is a 500.
_NAMES = {
    400: "BAD_ARGUMENTS CANNOT_COMPILE_REGEXP CANNOT_PARSE_TEXT CANNOT_PARSE_ESCAPE_SEQUENCE "
    "CANNOT_PARSE_QUOTED_STRING CANNOT_PARSE_DATE CANNOT_PARSE_DATETIME CANNOT_PARSE_NUMBER "
    "CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING CANNOT_PARSE_IPV4 CANNOT_PARSE_IPV6 "
    "CANNOT_PARSE_INPUT_ASSERTION_FAILED CANNOT_PARSE_UUID DUPLICATE_COLUMN ILLEGAL_COLUMN "
    "UNKNOWN_ELEMENT_IN_AST UNKNOWN_TYPE_OF_AST_NODE THERE_IS_NO_COLUMN TOO_DEEP_AST TOO_BIG_AST "
    "UNEXPECTED_AST_STRUCTURE SYNTAX_ERROR INCORRECT_DATA TYPE_MISMATCH "
    "VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE",
    401: "REQUIRED_PASSWORD",
    403: "UNKNOWN_USER WRONG_PASSWORD AUTHENTICATION_FAILED SET_NON_GRANTED_ROLE ACCESS_DENIED DATABASE_ACCESS_DENIED",
    404: "UNKNOWN_TABLE UNKNOWN_FUNCTION UNKNOWN_IDENTIFIER UNKNOWN_TYPE UNKNOWN_STORAGE UNKNOWN_DATABASE "
    "UNKNOWN_SETTING UNKNOWN_DIRECTION_OF_SORTING UNKNOWN_AGGREGATE_FUNCTION UNKNOWN_FORMAT "
    "UNKNOWN_DATABASE_ENGINE UNKNOWN_TYPE_OF_QUERY UNKNOWN_ROLE",
    408: "TIMEOUT_EXCEEDED",
    411: "HTTP_LENGTH_REQUIRED",
    413: "QUERY_IS_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    501: "NOT_IMPLEMENTED",
    503: "SOCKET_TIMEOUT CANNOT_OPEN_FILE CANNOT_SCHEDULE_TASK",
}
_STATUS = {name: status for status, names in _NAMES.items() for name in names.split()}

log = logging.getLogger("chdb_http")

_HEAD = re.compile(r"(?:Code: (\d+)\. DB::Exception: )+")
_TAIL = re.compile(r"(?:\.?\s*(?:\(version [^()]*(?:\([^()]*\))?\)|\(([A-Z][A-Z0-9_]+)\)))+\.?\s*$")
_STD_EXCEPTION = 1001


class EngineError(Exception):
    """The engine, or the server on its behalf, refused a query. Its `str` is the text that ClickHouse sends."""

    def __init__(self, name: str, message: str, code: int | None = None, *, before_storing: bool = False) -> None:
        """Keep the parts of the error. `name` and `code` are ClickHouse's, such as SYNTAX_ERROR and 62.

        With `before_storing`, it is certain that nothing of what was to be inserted is stored.
        """
        self.name, self.message, self.before_storing = name, message, before_storing
        self.code = _CODES[name] if code is None else code
        super().__init__(f"Code: {self.code}. DB::Exception: {message} ({name})")

    @property
    def status(self) -> int:
        """The HTTP status that ClickHouse answers with."""
        return _STATUS.get(self.name, 500)


def internal_error(bug: Exception) -> EngineError:
    """Log a bug of this server, and return the error for the client."""
    log.error("This is a bug in chdb_http.", exc_info=bug)
    return EngineError(
        "STD_EXCEPTION", f"The server failed: {type(bug).__name__}; its log has the traceback.", _STD_EXCEPTION
    )


def parse_failure(error: Exception) -> EngineError:
    """Return an exception of chDB as ClickHouse's error. chDB repeats the head and the tail once per layer."""
    text = error.object.decode(errors="replace") if isinstance(error, UnicodeDecodeError) else str(error)
    text = text.strip()
    head = _HEAD.match(text)
    if head is None:
        return EngineError("STD_EXCEPTION", text.partition("\n")[0] or type(error).__name__, _STD_EXCEPTION)
    tail = _TAIL.search(text, head.end())
    message = text[head.end() : tail.start() if tail else None].rstrip()
    return EngineError(
        (tail and tail.group(1)) or "UNKNOWN_EXCEPTION",
        message if message.endswith((".", "?", "!")) else message + ".",
        int(head.group(1)),
    )
