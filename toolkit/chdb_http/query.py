"""The values that pass between HTTP and the engine: queries and their outcomes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True)
class ExternalTable:
    """A table that exists for one query, filled from the request."""

    name: str
    structure: str
    """Columns as ClickHouse declares them: `id UInt64, name String`."""
    format: str
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class Session:
    """The session of a query, whose temporary tables and settings remain after the query."""

    key: str
    timeout: float
    must_exist: bool = False
    """ClickHouse's `session_check`."""


@dataclass(frozen=True)
class Query:
    """One statement with its parameters and settings, none of which is part of the SQL text."""

    sql: bytes
    """The statement, followed by the rows to insert if there are any."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    external: tuple[ExternalTable, ...] = ()
    database: str | None = None
    format: str = "TabSeparated"
    """The format of the result if the statement names none."""
    read_only: bool = False
    session: Session | None = None


@dataclass(frozen=True)
class Counts:
    """The engine's counts, as `X-ClickHouse-Summary` reports them."""

    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    result_rows: int = 0
    result_bytes: int = 0
    elapsed_ns: int = 0

    @classmethod
    def from_result(cls, result: Any) -> Self:
        """Return the counts of the engine's result."""
        written = result.rows_written()
        return cls(
            read_rows=result.storage_rows_read(),
            read_bytes=result.storage_bytes_read(),
            written_rows=written,
            written_bytes=result.bytes_written(),
            result_rows=result.rows_read() or written,
            result_bytes=result.bytes_read() or result.bytes_written(),
            elapsed_ns=round(result.elapsed() * 1e9),
        )

    @classmethod
    def before_storing(cls, rows: int, size: int) -> Self:
        """Return the counts of rows of `size` bytes that are not stored yet, with no time spent."""
        return cls(rows, size, rows, size, rows, size)


@dataclass(frozen=True)
class Outcome:
    """The outcome of a statement that succeeded."""

    body: bytes
    """The result, unless it was written to the pipe."""
    format: str | None
    """The format of the result; None for statements without a result."""
    counts: Counts
