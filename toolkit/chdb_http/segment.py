"""A file of the write-ahead log: acknowledged rows, and how far the engine has stored them."""

import errno
import os
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chdb_http.records import decode, encode
from chdb_http.sql import InsertedRows, quoted_text

NAME = re.compile(r"(\d{12})-([0-9a-f]{32})\.log")
LARGEST, MOST = 1 << 19, 2000
"""Bytes and lines of a segment, so that the engine stores it as one block in each table. Alone, a row may be larger."""


@dataclass(frozen=True)
class Entry:
    """An insertion of rows in JSON, with the settings of its request and of its statement."""

    database: str
    table: str
    settings: tuple[tuple[str, str], ...]
    rows: bytes

    @property
    def target(self) -> dict[str, Any]:
        """Everything but the rows."""
        return {"database": self.database, "table": self.table, "settings": self.settings}

    @property
    def statement(self) -> InsertedRows:
        """The insertion as one statement."""
        settings = ", ".join(f"{name} = {quoted_text(value)}" for name, value in self.settings)
        clause = f"SETTINGS {settings}\n".encode() if settings else b""
        return InsertedRows(f"INSERT INTO {self.table}\n".encode(), clause, "JSONEachRow", self.rows)


@dataclass(frozen=True)
class Batch:
    """Insertions that differ in their rows alone. They are stored together, as one block."""

    key: str
    """Unique within its segment, and the same after a restart."""
    entries: tuple[Entry, ...]

    @property
    def table(self) -> str:
        """The table that they go into."""
        return self.entries[0].table

    @property
    def entry(self) -> Entry:
        """One insertion of all rows."""
        return replace(self.entries[0], rows=b"\n".join(entry.rows for entry in self.entries))

    def singly(self) -> "list[Batch]":
        """Return each insertion as a batch of its own."""
        return [Batch(f"{self.key}.{index}", (entry,)) for index, entry in enumerate(self.entries)]


class Segment:
    """Insertions in the order in which they came, and marks of how far they are stored.

    The file survives `kill -9`. A loss of power can take its end, as it can take the end of the engine's own files.
    """

    def __init__(self, path: Path) -> None:
        """Read the file `path`; without one, start an empty segment. Raises OSError if the file cannot be read."""
        self.path, self.id = path, uuid.UUID(path.name[13:45])
        self.size = self.lines = 0
        self.begun: dict[str, dict[str, int]] = {}
        """The last block of each table before a batch was stored, by the batch's key."""
        self.split: set[str] = set()
        """Keys of batches whose insertions are stored one by one."""
        self.done: set[str] = set()
        """Keys of batches that this process has stored or set aside."""
        self.damaged: dict[int, bytes] = {}
        """Bytes that are no record any more, by their position."""
        self._entries: list[Entry] = []
        self._file, data = -1, path.read_bytes() if path.exists() else b""
        self._end = len(data)
        for position, head, body in decode(self.id.bytes, data):
            if head is None:
                self.damaged[position] = body
            else:
                self._take(head, body)

    @classmethod
    def after(cls, directory: Path, last: int) -> "Segment":
        """Return an empty segment that comes after the number `last`."""
        return cls(directory / f"{last + 1:012}-{uuid.uuid4().hex}.log")

    @property
    def number(self) -> int:
        """The position of the segment in the log."""
        return int(self.path.name[:12])

    def takes(self, entry: Entry) -> bool:
        """Return whether the segment is small enough for another insertion."""
        return self.size + len(entry.rows) <= LARGEST and self.lines + entry.rows.count(b"\n") < MOST

    def add(self, entry: Entry) -> None:
        """Write an insertion. Raises OSError if the disk is full; then nothing has changed."""
        self._write(entry.target, entry.rows)

    def mark(self, key: str, blocks: dict[str, int] | None = None) -> None:
        """Write that a batch will be stored on top of `blocks`; without `blocks`, that it is split.

        A mark is written twice: without it, one damaged byte would let rows be stored twice.
        """
        self._write({"key": key, "blocks": blocks}, copies=2)

    def batches(self, order: Sequence[str]) -> list[Batch]:
        """Return all insertions by table. The tables that stand earlier in `order` come first."""
        alike: dict[Entry, list[Entry]] = {}
        for entry in self._entries:
            alike.setdefault(replace(entry, rows=b""), []).append(entry)
        batches = [Batch(str(index), tuple(entries)) for index, entries in enumerate(alike.values())]
        return sorted(batches, key=lambda batch: (*order, batch.table).index(batch.table))

    def remove(self) -> None:
        """Delete the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self.path.unlink(missing_ok=True)

    def _write(self, head: dict[str, Any], body: bytes = b"", copies: int = 1) -> None:
        data = encode(self.id.bytes, head, body) * copies
        if self._file < 0:
            self.path.parent.mkdir(exist_ok=True)
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        written = os.pwrite(self._file, data, self._end)
        if written < len(data):
            os.ftruncate(self._file, self._end)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        self._end += len(data)
        self._take(head, body)

    def _take(self, head: dict[str, Any], body: bytes) -> None:
        if "key" not in head:
            settings = tuple((name, value) for name, value in head["settings"])
            self._entries.append(Entry(head["database"], head["table"], settings, body))
            self.size, self.lines = self.size + len(body), self.lines + body.count(b"\n") + 1
        elif head["blocks"] is None:
            self.split.add(head["key"])
        else:
            self.begun[head["key"]] = head["blocks"]
