"""Compress and decompress bodies of HTTP: gzip, deflate, lz4 and zstd."""

import zlib
from collections.abc import Callable
from typing import Any, Protocol

import lz4.frame  # type: ignore[import-untyped]
import zstandard

from chdb_http.engine_error import EngineError


class Compressor(Protocol):
    """A compressor of a body that comes in pieces."""

    def compress(self, data: bytes, /) -> bytes:
        """Return the next compressed bytes, which may be none."""

    def flush(self) -> bytes:
        """Return the remaining bytes, with the end of the stream."""


class _Plain:
    def compress(self, data: bytes, /) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


PLAIN: Compressor = _Plain()
"""A compressor that changes nothing."""


class _Lz4:
    """An lz4 compressor, which must be started explicitly, and would otherwise buffer without a limit."""

    def __init__(self) -> None:
        self._frame: Any = lz4.frame.LZ4FrameCompressor()
        self._begun = False

    def compress(self, data: bytes, /) -> bytes:
        head = b"" if self._begun else bytes(self._frame.begin())
        self._begun = True
        return head + bytes(self._frame.compress(data))

    def flush(self) -> bytes:
        return (b"" if self._begun else bytes(self._frame.begin())) + bytes(self._frame.flush())


# The preferred encoding comes first: the engine and its clients run on one machine, so speed matters more than size.
_COMPRESSORS: dict[str, Callable[[], Compressor]] = {
    "lz4": _Lz4,
    "zstd": lambda: zstandard.ZstdCompressor(level=1).compressobj(),
    "gzip": lambda: zlib.compressobj(3, wbits=31),
    "deflate": lambda: zlib.compressobj(3),
}

_DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    "lz4": lz4.frame.LZ4FrameDecompressor,
    "zstd": lambda: zstandard.ZstdDecompressor().decompressobj(),
    "gzip": lambda: zlib.decompressobj(wbits=31),
    "deflate": zlib.decompressobj,
}


def choose_encoding(accept_encoding: str) -> str | None:
    """Return the encoding of a response to a request with this `Accept-Encoding`, or None for plain bytes."""
    offered = dict(_parse_weight(part) for part in accept_encoding.lower().split(","))
    return next((name for name in _COMPRESSORS if offered.get(name, 0) > 0), None)


def compressor(encoding: str) -> Compressor:
    """Return a new compressor for an encoding that `choose_encoding` returned."""
    return _COMPRESSORS[encoding]()


def decompress(encoding: str, data: bytes) -> bytes:
    """Return decompressed `data`. Raises EngineError if the encoding is unknown or the data is damaged."""
    if encoding in ("", "identity"):
        return data
    if encoding not in _DECOMPRESSORS:
        known = ", ".join(_DECOMPRESSORS)
        raise EngineError("NOT_IMPLEMENTED", f"Unknown Content-Encoding {encoding!r}; this server knows {known}.")
    try:
        return b"".join(_members(_DECOMPRESSORS[encoding], data))
    except (zlib.error, zstandard.ZstdError, RuntimeError, EOFError) as error:
        raise EngineError("CANNOT_DECOMPRESS", f"The {encoding} body is broken: {error}.") from error


def _members(decompressor: Callable[[], Any], data: bytes) -> list[bytes]:
    """Return the contents of `data`, which is one compressed stream or several in sequence."""
    contents = []
    while data:
        stream = decompressor()
        contents.append(stream.decompress(data))
        if not stream.eof:
            raise EOFError("it ends too early")
        data = stream.unused_data or b""
    return contents


def _parse_weight(part: str) -> tuple[str, float]:
    name, _, weight = part.partition(";")
    try:
        return name.strip(), float(weight.partition("=")[2] or 1)
    except ValueError:
        return name.strip(), 0
