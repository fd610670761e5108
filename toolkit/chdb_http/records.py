"""The format of a log file: records with sizes and checksums, which can be read past a damaged one."""

import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

_SIZES, _CHECKSUMS = struct.Struct(">II"), struct.Struct(">II")
_MARK = 16
_FIXED = _MARK + _SIZES.size + _CHECKSUMS.size


def encode(mark: bytes, head: dict[str, Any], body: bytes = b"") -> bytes:
    """Return a record of the file that `mark`, 16 random bytes, belongs to.

    The mark lets a reader find the next record. A client does not know it, so no rows can imitate a record.
    """
    text = json.dumps(head, separators=(",", ":")).encode()
    sizes = _SIZES.pack(len(text), len(body))
    return mark + sizes + _CHECKSUMS.pack(zlib.crc32(sizes + text), zlib.crc32(body)) + text + body


def decode(mark: bytes, data: bytes) -> Iterator[tuple[int, dict[str, Any] | None, bytes]]:
    """Yield the position, head and body of each record; for damaged bytes, None and the bytes.

    Damage costs the record that it is in, and no other.
    """
    position = 0
    while position < len(data):
        frame = _frame(mark, data, position)
        if frame is None:
            end = _next(mark, data, position + 1)
            yield position, None, data[position:end]
        else:
            head, start, end, checksum = frame
            intact = end <= len(data) and zlib.crc32(data[start:end]) == checksum
            yield (position, head, data[start:end]) if intact else (position, None, data[position:end])
        position = end


def _frame(mark: bytes, data: bytes, position: int) -> tuple[dict[str, Any], int, int, int] | None:
    """Return the head, the body's start, end and checksum, or None if there is no intact head at `position`."""
    start = position + _FIXED
    if not data.startswith(mark, position) or len(data) < start:
        return None
    sizes = data[position + _MARK : position + _MARK + _SIZES.size]
    head_checksum, body_checksum = _CHECKSUMS.unpack_from(data, position + _MARK + _SIZES.size)
    head_size, body_size = _SIZES.unpack(sizes)
    text = data[start : start + head_size]
    if zlib.crc32(sizes + text) != head_checksum:
        return None
    return json.loads(text), start + head_size, start + head_size + body_size, body_checksum


def _next(mark: bytes, data: bytes, start: int) -> int:
    while (start := data.find(mark, start)) >= 0 and _frame(mark, data, start) is None:
        start += 1
    return start if start >= 0 else len(data)
