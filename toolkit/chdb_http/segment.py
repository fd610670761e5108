"""A file of rows that clients were told are stored, until the engine has them."""

import json
import logging
import os
import re
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chdb_http import columns
from chdb_http.sources import NAMES

log = logging.getLogger("chdb_http")

_NAME = re.compile(r"(\d{12})\.rows")
LARGEST = 1 << 19
"""Bytes of a batch: so few that the engine stores them as one block, so each table has all of it or none."""
MOST = 2000
"""Rows of a batch: so few that a statement can name them all."""


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
        """One without rows, whose file will be at `path`."""
        self.path, self.marks, self.size, self.count = path, Marks(), 0, 0
        self._rows: list[tuple[str, str, bytes]] = []
        self._end = 0

    @classmethod
    def read(cls, path: Path) -> "Segment":
        """What the file at `path` has; OSError if it cannot be read."""
        segment = cls(path)
        for record, rows, segment._end in _records(path.read_bytes()):
            segment._take(record, rows)
        segment._cut_off_the_torn()
        return segment

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
        head = json.dumps({**record, "size": len(rows)}, separators=(",", ":")).encode()
        data = b"%08x %b\n%b\n" % (zlib.crc32(head + rows), head, rows)
        self.path.parent.mkdir(exist_ok=True)
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            written = os.pwrite(file, data, self._end)  # what a failed one before has left there is overwritten
        finally:
            os.close(file)
        if written < len(data):
            raise OSError(f"Only {written} of {len(data)} bytes were written to {self.path}.")
        self._end += len(data)
        self._take(record, rows)

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
            aside = self.path.with_suffix(f".{time.time_ns()}.torn")
            log.warning("The end of %s is not whole: %d bytes are kept in %s.", self.path, len(torn), aside)
            aside.write_bytes(torn)  # the disk may be broken; then they are more than one row that nobody waits for
            os.truncate(self.path, self._end)


def left(directory: Path) -> list[Segment]:
    """The segments in `directory`, oldest first; OSError if they cannot be read."""
    directory.mkdir(exist_ok=True)
    return [Segment.read(path) for path in sorted(directory.iterdir()) if _NAME.fullmatch(path.name)]


def new(directory: Path, last: int) -> tuple[Segment, int]:
    """One that comes after number `last`, and its number."""
    return Segment(directory / f"{last + 1:012}.rows"), last + 1


def number(segment: Segment) -> int:
    """Its place among the others."""
    return int(segment.path.stem)


def _parts(rows: list[bytes]) -> list[list[bytes]]:
    parts: list[list[bytes]] = [[]]
    size = count = 0
    for one in rows:
        size, count = size + len(one), count + len(columns.lines(one))
        if parts[-1] and (size > LARGEST or count > MOST):
            parts.append([])
            size, count = len(one), len(columns.lines(one))
        parts[-1].append(one)
    return parts


def _records(data: bytes) -> Iterator[tuple[dict[str, Any], bytes, int]]:
    """The whole records of a file, each with where it ends."""
    start = 0
    while (end := data.find(b"\n", start)) >= 0:
        try:
            head = data[start + 9 : end]
            record = json.loads(head)
            stop = end + 1 + int(record["size"])
            rows = data[end + 1 : stop]
            whole = int(data[start : start + 8], 16) == zlib.crc32(head + rows) and data[stop : stop + 1] == b"\n"
            if not whole or not _is_known(record):
                return
        except (ValueError, KeyError, TypeError):
            return
        start = stop + 1
        yield record, rows, start


def _is_known(record: dict[str, Any]) -> bool:
    if "key" in record:
        return isinstance(record["key"], str) and bool(record.keys() & {"blocks", "split", "stored"})
    return record["table"] in NAMES and isinstance(record["database"], str)
