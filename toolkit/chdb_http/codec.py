"""Compression as HTTP clients of ClickHouse ask for it: gzip, deflate, lz4 and zstd."""

import zlib
from collections.abc import Callable
from typing import Any, Protocol

import lz4.frame  # type: ignore[import-untyped]
import zstandard

from chdb_http.failure import EngineError


class Compressor(Protocol):
    """Turns pieces of a body into pieces of a compressed body."""

    def compress(self, data: bytes, /) -> bytes:
        """The next piece; may be empty."""

    def flush(self) -> bytes:
        """What is left, with the end of the stream."""


class _Plain:
    def compress(self, data: bytes, /) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


PLAIN: Compressor = _Plain()
"""Compresses nothing."""


class _Lz4:
    """lz4's own compressor must be begun explicitly, and buffers without bound unless told otherwise."""

    def __init__(self) -> None:
        self._frame: Any = lz4.frame.LZ4FrameCompressor()
        self._begun = False

    def compress(self, data: bytes, /) -> bytes:
        head = b"" if self._begun else bytes(self._frame.begin())
        self._begun = True
        return head + bytes(self._frame.compress(data))

    def flush(self) -> bytes:
        return (b"" if self._begun else bytes(self._frame.begin())) + bytes(self._frame.flush())


# In the order in which we prefer them: the engine and its clients sit on one machine, so speed goes before size.
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


def chosen(accept_encoding: str) -> str | None:
    """The encoding to answer with, given a request's `Accept-Encoding`; None for plain bytes."""
    offered = dict(_weighed(part) for part in accept_encoding.lower().split(","))
    return next((name for name in _COMPRESSORS if offered.get(name, 0) > 0), None)


def compressor(encoding: str) -> Compressor:
    """A fresh compressor for an encoding that `chosen` chose."""
    return _COMPRESSORS[encoding]()


def decompressed(encoding: str, data: bytes) -> bytes:
    """`data` without its `Content-Encoding`; EngineError if it is unknown, broken or cut off."""
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
    """The contents of `data`, which is one or more compressed streams, one behind the other."""
    contents = []
    while data:
        stream = decompressor()
        contents.append(stream.decompress(data))
        if not stream.eof:
            raise EOFError("it ends too early")
        data = stream.unused_data or b""
    return contents


def _weighed(part: str) -> tuple[str, float]:
    name, _, weight = part.partition(";")
    try:
        return name.strip(), float(weight.partition("=")[2] or 1)
    except ValueError:
        return name.strip(), 0
