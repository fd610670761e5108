"""Bodies as they cross the wire: JSON in, JSON out, refusals in TensorZero's shape."""

import gzip
import io
import json
import zlib
from dataclasses import dataclass
from typing import Any, NoReturn

import zstandard
from starlette.requests import ClientDisconnect, Request

Json = Any

BODY_LIMIT = 100 * 1024 * 1024
"""The gateway's own limit."""


@dataclass
class Refusal(Exception):  # noqa: N818 - an answer, not a failure
    """A request is answered with an error: the status and the body for it."""

    status: int
    body: bytes


def refusal(status: int, message: str) -> Refusal:
    """A refusal in the shape of TensorZero's error bodies."""
    return Refusal(status, to_json({"error": message}))


def to_json(value: Json) -> bytes:
    """Serialize as the gateway does: compact, UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


async def read_body(request: Request) -> bytes:
    """The body, decompressed; raises a Refusal when it is too large or compressed in an unknown way."""
    pieces, size = [], 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > BODY_LIMIT:
                raise _too_large()
            pieces.append(piece)
    except ClientDisconnect:
        raise refusal(400, "The client went away before it had sent the whole request.") from None
    return _decompressed(b"".join(pieces), request.headers.get("content-encoding", "identity"))


def read_object(body: bytes) -> dict[str, Json]:
    """The JSON object in `body`; raises a Refusal that says where it is broken."""
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise refusal(400, f"Failed to parse the request body as JSON: {error} (400 Bad Request)") from error
    if not isinstance(value, dict):
        raise refusal(400, f"invalid type: {_kind(value)}, expected a JSON object")
    return value


def _decompressed(body: bytes, encoding: str) -> bytes:
    if encoding == "identity":
        return body
    try:
        if encoding == "gzip":
            return _gunzip(body)
        if encoding == "zstd":
            return _unzstd(body)
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise refusal(400, f"Failed to decompress the request body: {error} (400 Bad Request)") from error
    raise refusal(415, f"Unsupported content encoding {encoding!r}: send gzip, zstd or none.")


def _gunzip(body: bytes) -> bytes:
    return _bounded(gzip.GzipFile(fileobj=io.BytesIO(body)).read(BODY_LIMIT + 1))


def _unzstd(body: bytes) -> bytes:
    return _bounded(zstandard.ZstdDecompressor().stream_reader(body).read(BODY_LIMIT + 1))


def _bounded(body: bytes) -> bytes:
    if len(body) > BODY_LIMIT:
        raise _too_large()
    return body


def _too_large() -> Refusal:
    return refusal(400, "Failed to buffer the request body: length limit exceeded (413 Payload Too Large)")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _kind(value: Json) -> str:
    names = {list: "sequence", str: "string", bool: "boolean", int: "integer", float: "floating point"}
    return names.get(type(value), "null")
