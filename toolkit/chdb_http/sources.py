"""Tables whose rows may be acknowledged before the engine stores them, and all that comes of such a row."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chdb_http import columns
from chdb_http.columns import Fits
from chdb_http.connection import Connection

_VIEWS_OF = {
    "ChatInference": (
        "ChatInferenceByEpisodeIdView",
        "ChatInferenceByIdView",
        "ChatInferenceTagView",
        "EpisodeByIdChatView",
        "TagChatInferenceView",
        "VariantStatisticsChatView",
    ),
    "JsonInference": (
        "EpisodeByIdJsonView",
        "JsonInferenceByEpisodeIdView",
        "JsonInferenceByIdView",
        "JsonInferenceTagView",
        "TagJsonInferenceView",
        "VariantStatisticsJsonView",
    ),
    "ModelInference": ("CumulativeUsageView", "ModelProviderStatisticsView", "VariantStatisticsModelView"),
}
"""Views that take whatever row their table takes."""
NAMES = frozenset(_VIEWS_OF)
"""TensorZero's tables that grow with every call."""
_DEFAULTS = ("", "map()", "false", "''", "UUIDv7ToDateTime(id)")
"""What columns are made of where a row does not say: nothing that could fail."""
_TARGET = re.compile(r"CREATE MATERIALIZED VIEW \S+ TO `?(\w+)`?\.`?(\w+)`? ")
_READS = re.compile(r"\b(?:FROM|IN)\s+([^\s(]+)|(?<!\bARRAY )\bJOIN\s+(\S+)")
_OF = "database = {database:String} AND {what} = {name:String}"
_TABLE = (
    "SELECT engine, partition_key, create_table_query LIKE '% CONSTRAINT %', dependencies_database, dependencies_table "
    "FROM system.tables WHERE {of}"
)
_VIEWS = (
    "SELECT name, create_table_query, as_select FROM system.tables "
    "WHERE engine = 'MaterializedView' AND database = {database:String}"
)
_TYPES = "SELECT name, type, default_kind, default_expression FROM system.columns WHERE {of}"
_COLUMNS = "SELECT name FROM system.columns WHERE {of} ORDER BY position"


@dataclass(frozen=True)
class View:
    """A materialized view: what it makes of new rows, and where that goes."""

    name: str
    database: str
    target: str
    query: str

    @property
    def reads(self) -> set[str]:
        """The tables that its query names."""
        return {one.replace("`", "").rstrip(")") for pair in _READS.findall(self.query) for one in pair if one}


@dataclass(frozen=True)
class Source:
    """A table with its views, as it was at one time."""

    database: str
    name: str
    columns: Mapping[str, Fits]
    views: tuple[View, ...]

    @property
    def tables(self) -> tuple[str, ...]:
        """Where a new row leaves something: in the table itself, and behind its views."""
        return (self.name, *(view.target for view in self.views))

    def takes(self, rows: bytes) -> bool:
        """Whether each of `rows`, JSON by lines, is certain to be stored; if not, only the engine knows."""
        values = columns.objects(rows)
        return bool(values) and all(self._takes(value) for value in values)

    def _takes(self, row: dict[str, Any]) -> bool:
        return "id" in row and all(name in self.columns and self.columns[name](value) for name, value in row.items())


def read(connection: Connection, database: str, name: str) -> Source | None:
    """The table `name`, if it is as TensorZero makes it; None if not, and then nothing is certain of its rows.

    Its views read nothing but the rows that come in, so the order in which rows of several tables are stored does not
    matter. Nothing but such tables' rows goes where they write, so it can be told whether a view has written.

    Raises:
        EngineError: the engine cannot say.
    """
    described = _rows(connection, _TABLE, database, "name", name)
    if name not in NAMES or len(described) != 1:
        return None
    engine, partition_key, constrained, databases, dependents = described[0]
    every = _views(connection, database)
    views = tuple(view for view in every if view.name in dependents and view.name in _VIEWS_OF[name])
    plain = engine == "MergeTree" and not partition_key and not constrained and {*databases} <= {database}
    if not plain or len(views) < len(dependents) or not _are_apart(views, every, f"{database}.{name}"):
        return None
    if not all(_is_an_end(connection, database, view.target) for view in views):
        return None
    types = _rows(connection, _TYPES, database, "table", name)
    if not all(default in _DEFAULTS for _, _, _, default in types):
        return None
    storable = {column: columns.fits(type) for column, type, kind, _ in types if kind in ("", "DEFAULT")}
    return Source(database, name, storable, views)


def columns_of(connection: Connection, view: View, database: str) -> list[str]:
    """The columns that `view` makes; EngineError if the engine cannot say."""
    return [column for (column,) in _rows(connection, _COLUMNS, database, "table", view.name)]


def _views(connection: Connection, database: str) -> list[View]:
    """The materialized views of the database that write to tables of their own names."""
    made = [(name, _TARGET.match(text), query) for name, text, query in _rows(connection, _VIEWS, database)]
    return [View(name, target[1], target[2], query) for name, target, query in made if target]


def _are_apart(views: tuple[View, ...], every: list[View], source: str) -> bool:
    """Whether `views` read `source` alone, each writes to a table, and only views of such sources write there too."""
    database = source.partition(".")[0]
    targets = {view.target for view in views if view.database == database and view.reads == {source}}
    beside = [view for view in every if view.target in targets]
    ours = {f"{database}.{one}" for one in NAMES}
    return len(targets) == len(views) and all(view.reads <= ours for view in beside)


def _is_an_end(connection: Connection, database: str, target: str) -> bool:
    """Whether rows of `target` stay there, and are not made into more."""
    described = _rows(connection, _TABLE, database, "name", target)
    if len(described) != 1:
        return False
    engine, partition_key, _, _, dependents = described[0]
    return engine.endswith("MergeTree") and not partition_key and not dependents


def _rows(connection: Connection, statement: str, database: str, what: str = "", name: str = "") -> list[list[Any]]:
    sql = statement.replace("{of}", _OF.replace("{what}", what))
    answer = connection.run(sql, "JSONCompactEachRow", database=database, **({"name": name} if name else {}))
    return [json.loads(line) for line in answer.bytes().splitlines()]
