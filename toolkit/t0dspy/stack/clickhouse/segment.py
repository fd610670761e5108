"""A file of rows that clients were told are stored, until the engine has them."""

import json
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from t0dspy.stack.clickhouse import columns
from t0dspy.stack.clickhouse.sources import NAMES

_NAME = re.compile(r"(\d{12})\.rows")
LARGEST = 1 << 19
"""Bytes of a batch: far fewer rows than the engine stores at a time, so each table has all of it or none."""


@dataclass(frozen=True)
class Batch:
    """Rows for one table, to be stored in one block."""

    key: str
    """Its own within its segment, the same after a restart."""
    database: str
    table: str
    rows: bytes
    """JSON by lines."""

    def singly(self) -> "list[Batch]":
        """Its rows, each as a batch of its own."""
        lines = enumerate(columns.lines(self.rows))
        return [Batch(f"{self.key}.{at}", self.database, self.table, line) for at, line in lines]


@dataclass
class Marks:
    """How far the storing of a segment's batches has come, by their keys."""

    blocks: dict[str, dict[str, int]] = field(default_factory=dict)
    """The last block of each table from before the batch: written down before anything of it is stored."""
    split: set[str] = field(default_factory=set)
    """Stored row by row, each row a batch."""
    stored: set[str] = field(default_factory=set)


class Segment:
    """Rows in the order they came, then marks of how far they are stored; what is written survives `kill -9`.

    It is no safer from a loss of power than ClickHouse's own files are, which nobody waits for either.
    """

    def __init__(self, path: Path) -> None:
        """The file at `path`, which need not exist; OSError if it cannot be read."""
        self.path, self.marks, self.size, self.count = path, Marks(), 0, 0
        self._rows: list[tuple[str, str, bytes]] = []
        self._end = 0
        for record, rows, self._end in _records(path):
            self._take(record, rows)
        if path.exists():
            self._cut_off_the_torn()

    def add(self, database: str, table: str, rows: bytes) -> None:
        """Keep `rows`; OSError if the disk does not take them, and then nothing is changed."""
        self._write({"database": database, "table": table}, rows)

    def mark(self, key: str, blocks: dict[str, int] | None = None, *, split: bool = False) -> None:
        """Write down that the batch is to be stored on top of `blocks`, or is `split`, or else is stored."""
        what: dict[str, Any] = {"blocks": blocks} if blocks is not None else {"split" if split else "stored": True}
        self._write({"key": key, **what}, b"")

    def batches(self) -> list[Batch]:
        """All of its rows, by table."""
        lanes: dict[tuple[str, str], list[bytes]] = {}
        for database, table, rows in self._rows:
            lanes.setdefault((database, table), []).append(rows)
        parts = [(lane, part) for lane, rows in lanes.items() for part in _parts(rows)]
        return [Batch(str(at), *lane, b"\n".join(part)) for at, (lane, part) in enumerate(parts)]

    def remove(self) -> None:
        """It is not needed any more."""
        self.path.unlink(missing_ok=True)

    def _write(self, record: dict[str, Any], rows: bytes) -> None:
        head = {**record, "size": len(rows), "sum": zlib.crc32(rows)}
        line = json.dumps(head, separators=(",", ":")).encode() + b"\n" + rows + b"\n"
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            written = os.write(file, line)
            if written < len(line):
                os.ftruncate(file, self._end)
                raise OSError(f"Only {written} of {len(line)} bytes were written to {self.path}.")
        finally:
            os.close(file)
        self._end += len(line)
        self._take(head, rows)

    def _take(self, record: dict[str, Any], rows: bytes) -> None:
        if "key" not in record:
            self._rows.append((record["database"], record["table"], rows))
            self.size, self.count = self.size + len(rows), self.count + 1
        elif "blocks" in record:
            self.marks.blocks[record["key"]] = record["blocks"]
        else:
            (self.marks.split if "split" in record else self.marks.stored).add(record["key"])

    def _cut_off_the_torn(self) -> None:
        """What was being written when the process died goes: nobody was told that it is stored."""
        torn = self.path.read_bytes()[self._end :]
        if torn:
            self.path.with_suffix(".torn").write_bytes(torn)  # the disk may be broken; then it is more than that
            os.truncate(self.path, self._end)


def left(directory: Path) -> list[Segment]:
    """The segments in `directory`, oldest first; OSError if they cannot be read."""
    directory.mkdir(exist_ok=True)
    return [Segment(path) for path in sorted(directory.iterdir()) if _NAME.fullmatch(path.name)]


def new(directory: Path, last: int) -> tuple[Segment, int]:
    """One that comes after number `last`, and its number."""
    return Segment(directory / f"{last + 1:012}.rows"), last + 1


def number(segment: Segment) -> int:
    """Its place among the others."""
    return int(segment.path.stem)


def _parts(rows: list[bytes]) -> list[list[bytes]]:
    parts: list[list[bytes]] = [[]]
    size = 0
    for one in rows:
        size += len(one)
        if parts[-1] and size > LARGEST:
            parts.append([])
            size = len(one)
        parts[-1].append(one)
    return parts


def _records(path: Path) -> Iterator[tuple[dict[str, Any], bytes, int]]:
    """The whole records of a file, each with where it ends."""
    data = path.read_bytes() if path.exists() else b""
    start = 0
    while (end := data.find(b"\n", start)) >= 0:
        try:
            record = json.loads(data[start:end])
            rows = data[end + 1 : end + 1 + record["size"]]
            whole = zlib.crc32(rows) == record["sum"] and data[end + 1 + len(rows) : end + 2 + len(rows)] == b"\n"
        except (ValueError, KeyError, TypeError):
            return
        if not whole or not _is_known(record):
            return
        start = end + 2 + len(rows)
        yield record, rows, start


def _is_known(record: dict[str, Any]) -> bool:
    if "key" in record:
        return isinstance(record["key"], str) and bool(record.keys() & {"blocks", "split", "stored"})
    return record.get("table") in NAMES and isinstance(record.get("database"), str)
