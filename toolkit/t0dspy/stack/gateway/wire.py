"""Read and write the bodies of requests and responses; errors have TensorZero's form."""

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
"""The size limit of a request body in bytes, the same as the gateway's."""


@dataclass
class Refusal(Exception):  # noqa: N818 - becomes a response
    """A request is answered with an error that has this status and body."""

    status: int
    body: bytes


def refusal(status: int, message: str) -> Refusal:
    """Return a refusal with an error body like TensorZero's."""
    return Refusal(status, to_json({"error": message}))


def to_json(value: Json) -> bytes:
    """Serialize `value` like the gateway, as compact UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


async def read_body(request: Request) -> bytes:
    """Read and decompress the body.

    Raises:
        Refusal: the body is too large, cannot be decompressed, or the client disconnected.
    """
    pieces, size = [], 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > BODY_LIMIT:
                raise _too_large()
            pieces.append(piece)
    except ClientDisconnect:
        raise refusal(400, "The client disconnected before it had sent the whole request.") from None
    return _decompress(b"".join(pieces), request.headers.get("content-encoding", "identity"))


def read_object(body: bytes) -> dict[str, Json]:
    """Parse the JSON object in `body`.

    Raises:
        Refusal: the body is not a JSON object; the message has the position of the error.
    """
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise refusal(400, f"Failed to parse the request body as JSON: {error} (400 Bad Request)") from error
    if not isinstance(value, dict):
        raise refusal(400, f"invalid type: {_kind(value)}, expected a JSON object")
    return value


def _decompress(body: bytes, encoding: str) -> bytes:
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
    return _check_size(gzip.GzipFile(fileobj=io.BytesIO(body)).read(BODY_LIMIT + 1))


def _unzstd(body: bytes) -> bytes:
    return _check_size(zstandard.ZstdDecompressor().stream_reader(body).read(BODY_LIMIT + 1))


def _check_size(body: bytes) -> bytes:
    if len(body) > BODY_LIMIT:
        raise _too_large()
    return body


def _too_large() -> Refusal:
    return refusal(400, "Failed to buffer the request body: length limit exceeded (413 Payload Too Large)")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _kind(value: Json) -> str:
    names = {list: "sequence", str: "string", bool: "boolean", int: "integer", float: "floating point"}
    return names.get(type(value), "null")
