"""What a client asked for, and what came of it: the values that pass between HTTP and the engine."""

from collections.abc import Mapping
from dataclasses import dataclass, field


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
    """The session a query belongs to: its temporary tables and settings outlive the query."""

    key: str
    timeout: float
    must_exist: bool = False
    """ClickHouse's `session_check`."""


@dataclass(frozen=True)
class Query:
    """One statement with everything around it; nothing in it has been made part of SQL text yet."""

    sql: bytes
    """The statement, with the rows to insert behind it where there are any."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    external: tuple[ExternalTable, ...] = ()
    database: str | None = None
    format: str = "TabSeparated"
    """Of the result, where the statement names none."""
    read_only: bool = False
    session: Session | None = None


@dataclass(frozen=True)
class Counts:
    """What the engine counted, as `X-ClickHouse-Summary` reports it."""

    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    result_rows: int = 0
    result_bytes: int = 0
    elapsed_ns: int = 0


@dataclass(frozen=True)
class Outcome:
    """A statement that ran to its end."""

    body: bytes
    """The result, unless it went down the pipe."""
    format: str | None
    """Of the result; None for statements that have none."""
    counts: Counts
