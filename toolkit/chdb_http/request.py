"""Parse HTTP requests into queries."""

import asyncio
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.datastructures import UploadFile
from starlette.requests import Request

from chdb_http import compression, sql
from chdb_http.access import User
from chdb_http.engine_error import EngineError
from chdb_http.query import ExternalTable, Query, Session

# Parameters of the URL for the HTTP interface itself; every other name is a setting.
_RESERVED = frozenset(
    (
        "query",
        "database",
        "default_format",
        "query_id",
        "user",
        "password",
        "quota_key",
        "role",
        "session_id",
        "session_timeout",
        "session_check",
        "close_session",
        "compress",
        "decompress",
        "wait_end_of_query",
        "buffer_size",
        "client_protocol_version",
        "stacktrace",
    )
)
_PARAMETER = "param_"
_TABLE_PARTS = ("structure", "types", "format")
_LONGEST_SESSION, _USUAL_SESSION = 3600.0, 60.0
_NO_LIMIT = 1 << 40


@dataclass(frozen=True)
class Delivery:
    """How a client wants its response."""

    query_id: str
    encoding: str | None
    whole: bool
    """Whether to send the response only after the query has ended: ClickHouse's `wait_end_of_query`."""


@dataclass(frozen=True)
class _Form:
    fields: Mapping[str, str]
    files: Mapping[str, bytes]


async def parse_query(request: Request, user: User) -> Query:
    """Return the query in `request`. Raises EngineError if the request is invalid."""
    form = await _form_of(request)
    parameters = dict(request.query_params) | dict(form.fields)
    _refuse_unknown_transport(parameters)
    external = tuple(_external(name, data, parameters) for name, data in form.files.items())
    return Query(
        sql=_statement(parameters.get("query", ""), b"" if _is_multipart(request) else await _body(request)),
        parameters={
            name[len(_PARAMETER) :]: value for name, value in parameters.items() if name.startswith(_PARAMETER)
        },
        settings=_settings(parameters, form.files),
        external=external,
        database=_database(request, parameters),
        format=request.headers.get("x-clickhouse-format") or parameters.get("default_format") or "TabSeparated",
        read_only=request.method != "POST" or user.read_only,
        session=_session(parameters, user),
    )


def parse_delivery(request: Request) -> Delivery:
    """Return how to respond to `request`. Raises EngineError if its query id is not valid in a header."""
    parameters = request.query_params
    query_id = parameters.get("query_id") or str(uuid.uuid4())
    if not re.fullmatch(r"[\x21-\x7e]([\x20-\x7e]{0,254}[\x21-\x7e])?", query_id):
        raise EngineError("BAD_ARGUMENTS", "A query_id here has up to 256 printable ASCII characters.")
    compress = _is_on(parameters.get("enable_http_compression", "1"))
    encoding = compression.choose_encoding(request.headers.get("accept-encoding", "")) if compress else None
    return Delivery(query_id, encoding, _is_on(parameters.get("wait_end_of_query", "0")))


async def _form_of(request: Request) -> _Form:
    if not _is_multipart(request):
        return _Form({}, {})
    if request.headers.get("content-encoding"):
        raise EngineError("NOT_IMPLEMENTED", "A multipart body with a Content-Encoding is not supported.")
    async with request.form(max_files=_NO_LIMIT, max_fields=_NO_LIMIT, max_part_size=_NO_LIMIT) as form:
        items = list(form.multi_items())
        files = {name: await part.read() for name, part in items if isinstance(part, UploadFile)}
    fields = {name: part for name, part in items if isinstance(part, str)}
    described = {name for name in fields if any(f"{name}_{part}" in fields for part in ("structure", "types"))}
    files |= {name: fields.pop(name).encode() for name in described}  # a table may come as a plain field, too
    return _Form(fields, files)


def _is_multipart(request: Request) -> bool:
    return request.headers.get("content-type", "").lower().startswith("multipart/form-data")


async def _body(request: Request) -> bytes:
    encoding, body = request.headers.get("content-encoding", "").strip().lower(), await request.body()
    return await asyncio.to_thread(compression.decompress, encoding, body) if encoding else body


def _statement(query: str, body: bytes) -> bytes:
    if query and body:
        return query.encode() + b"\n" + body
    return query.encode() or body


def _external(name: str, data: bytes, parameters: Mapping[str, str]) -> ExternalTable:
    structure, types = parameters.get(f"{name}_structure"), parameters.get(f"{name}_types")
    if not structure and not types:
        raise EngineError("BAD_ARGUMENTS", f"The external table {name} needs {name}_structure or {name}_types.")
    structure = structure or sql.columns_of_types(types or "")
    return ExternalTable(name, structure, parameters.get(f"{name}_format") or "TabSeparated", data)


def _settings(parameters: Mapping[str, str], tables: Mapping[str, bytes]) -> dict[str, str]:
    of_tables = {f"{name}_{part}" for name in tables for part in _TABLE_PARTS}
    return {
        name: value
        for name, value in parameters.items()
        if name not in _RESERVED and name not in of_tables and not name.startswith(_PARAMETER)
    }


def _database(request: Request, parameters: Mapping[str, str]) -> str | None:
    path = str(request.path_params.get("path", "")).strip("/")
    return request.headers.get("x-clickhouse-database") or parameters.get("database") or path or None


def _session(parameters: Mapping[str, str], user: User) -> Session | None:
    name = parameters.get("session_id")
    if not name:
        return None
    text = parameters.get("session_timeout", str(_USUAL_SESSION))
    timeout = float(text) if re.fullmatch(r"\d{1,6}(\.0)?", text) else _LONGEST_SESSION + 1
    if timeout > _LONGEST_SESSION:
        raise EngineError("INVALID_SESSION_TIMEOUT", f"Invalid session timeout: {sql.quoted_text(text)}.")
    return Session(f"{user.name}\0{name}", timeout, _is_on(parameters.get("session_check", "0")))


def _refuse_unknown_transport(parameters: Mapping[str, str]) -> None:
    for name in ("compress", "decompress"):
        if _is_on(parameters.get(name, "0")):
            advice = "Use Accept-Encoding and Content-Encoding instead."
            raise EngineError("NOT_IMPLEMENTED", f"ClickHouse's own block format ({name}=1) is not supported. {advice}")


def _is_on(value: str) -> bool:
    return value.lower() not in ("", "0", "false")
