"""Read a program's production inferences with their feedback: the rows of a window, one portion at a time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

from t0dspy.model import Text
from t0dspy.warehouse.client import Warehouse
from t0dspy.warehouse.prefetch import Fetch

FILLED = "t0dspy::filled"
"""The tag of a demonstration that names the fields that nobody gave."""

BY = "t0dspy::by"
"""The tag of feedback that names its rater; `t0dspy feedback --by` writes it."""

TEST = "t0dspy::test"
"""The tag of calls and feedback that are tests: with any value, they are not production."""

USER = "user_id"
"""The default tag that names the user of an inference."""

ROWS, BYTES = 40_000, 48_000_000
"""The most rows and bytes of a portion, which is held in memory so that a slow reader does not block a query."""

_TABLES: dict[Text, str] = {"json": "JsonInference", "chat": "ChatInference", "xml": "ChatInference"}


@dataclass(frozen=True)
class Scope:
    """Which inferences of a program to read."""

    function: str
    """The program's function."""
    type: Text
    stages: Sequence[str]
    """The functions of its predictors."""
    since: int
    """Milliseconds since 1970; the window begins with it."""
    until: int
    """Milliseconds since 1970; the window ends before it, and later feedback is ignored."""
    versions: Sequence[str] = ()
    """Only inferences of these versions; all if empty."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Only inferences with all of these tags."""
    metrics: Mapping[str, bool | float] = field(default_factory=dict)
    """Only inferences with these latest values."""
    include: Sequence[str] = ()
    """Kinds of rows to include that are left out by default: `evaluation`, `internal`, `pinned`, `test`."""
    user: str = USER
    """The tag that names the user of an inference."""
    raters: Sequence[str] = (BY, USER)
    """The tags of feedback that may name its rater; the first one present counts."""

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of the questions."""
        return {
            "table": _TABLES[self.type],
            "function": self.function,
            "stages": list(self.stages),
            # Workaround (chdb-core 26.9): ClickHouse sorts UUIDs by their second half, so queries compare
            # `toUInt128(id)`; remove when the gateway's tables use a type that sorts UUIDs by time. See
            # ClickHouse/ClickHouse#110066.
            "since": max(self.since, 0) << 80,
            "until": max(self.until, 0) << 80,
            "versions": list(self.versions),
            "tag_keys": list(self.tags),
            "tag_values": list(self.tags.values()),
            "metric_names": list(self.metrics),
            "metric_values": [float(value) for value in self.metrics.values()],
            "include": list(self.include),
            "filled": FILLED,
            "raters": list(self.raters),
            "no_tests": "test" not in self.include,
        }


class Row(NamedTuple):
    """A stored inference with its feedback."""

    id: str
    episode: str
    variant: str
    input: str
    """JSON."""
    output: str
    """JSON: an object with `raw` and `parsed`, or a list of content blocks."""
    tags: dict[str, str]
    snapshot: str | None
    """The hash of the gateway's config, in the format of its `/status`."""
    function: str
    feedback: str = ""
    """A JSON array of the feedback, see `part_feedback.sql`; empty if there is none."""


@dataclass(frozen=True)
class Portion:
    """The inferences of a range of ids."""

    first: int
    last: int
    number: int
    offset: int = 0
    """How many inferences precede it."""


@dataclass(frozen=True)
class Rows:
    """Stored inferences, oldest first, which become rows when they are read."""

    columns: Sequence[Sequence[Any]] = ()
    feedback: Sequence[Sequence[str]] = ()
    """Columns too: the inference's id, then its feedback."""

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows in their order.

        They are stored as columns, because so many tuples at once would slow down Python's garbage collection.
        """
        if not self.columns:
            return iter(())
        ids, *feedback = self.feedback or [()] * (1 + _FEEDBACK_COLUMNS)
        number_of = {id: number for number, id in enumerate(ids)}
        order = [number_of.get(id, len(ids)) for id in self.columns[0]]
        values = (map([*column, ""].__getitem__, order) for column in feedback)
        return map(Row._make, zip(*self.columns, *values, strict=True))

    def __len__(self) -> int:
        return len(self.columns[0]) if self.columns else 0


_FEEDBACK_COLUMNS = len(Row._field_defaults)


class Production:
    """The inferences in one scope."""

    def __init__(self, warehouse: Warehouse, scope: Scope) -> None:
        self._warehouse, self.scope = warehouse, scope
        self._parameters = {**scope.parameters(), "late": True, "graded": False}
        self._total = self._limit = 0

    def portions(self) -> tuple[Sequence[Portion], Mapping[str, int]]:
        """Return the portions, oldest first, and reason -> how many inferences are left out. Raises WarehouseError."""
        stage_bytes = 0
        if self.scope.stages:
            graded, stage_bytes = self._ask("stage_load")[0]
            self._parameters["graded"] = bool(graded)
        rows = self._ask("portions", rows=ROWS, bytes=BYTES, stage_bytes=stage_bytes)
        left_out = {reason: number for reason, number, _, _ in rows if reason}
        return [Portion(first, last, number) for reason, number, first, last in rows if not reason], left_out

    def sample(self, portions: Sequence[Portion], limit: int) -> Sequence[Portion]:
        """Limit the `portions` to `limit` inferences, spread evenly over time, and return them."""
        self._total, self._limit = sum(portion.number for portion in portions), limit
        return joined(portions, limit, ROWS) if limit else ()

    def programs(self, portion: Portion) -> Rows:
        """Return the program's inferences in a portion, oldest first. Raises WarehouseError."""
        return self._rows("programs", portion)

    def runs(self, portion: Portion) -> Mapping[str, tuple[str, bool]]:
        """Return inference -> the episode of its stages, and whether the gateway answered from its cache."""
        return {id: (run, cached) for id, run, cached in self._ask("runs", **self._of(portion)) if run}

    def stages(self, portion: Portion) -> Mapping[str, Sequence[Row]]:
        """Return episode of a run -> its stages' inferences, oldest first."""
        by_episode: dict[str, list[Row]] = {}
        for row in self._rows("stages", portion):
            by_episode.setdefault(row.episode, []).append(row)
        return by_episode

    def stages_without_run(self, margin: float) -> int:
        """Return how many stages in the window belong to no inference of the program.

        The run may have begun `margin` seconds before the window. The number is 0 if the scope selects tags or metrics,
        because stages without an inference have neither.
        """
        if self.scope.tags or self.scope.metrics:
            return 0
        since = max(self.scope.since - round(margin * 1000), 0)
        return int(self._ask("stages_without_run", margin=since << 80)[0][0])

    def configs(self, hashes: Sequence[str]) -> Mapping[str, str]:
        """Return hash -> the gateway's config with that hash, as TOML."""
        return dict(self._ask("snapshots", hashes=list(hashes)))  # type: ignore[arg-type]

    def _rows(self, name: str, portion: Portion) -> Rows:
        parameters = {**self._parameters, **self._of(portion)}
        feedback = Fetch(partial(self._warehouse.columns, f"{name}_feedback", parameters))
        return Rows(self._warehouse.columns(name, parameters), feedback.result())

    def _of(self, portion: Portion) -> dict[str, Any]:
        span = {"first": portion.first, "last": portion.last, "offset": portion.offset}
        late = portion.first < self._parameters["since"]
        searched = {"late": late, "graded": late and self._parameters["graded"]}
        sample = {"total": self._total, "limit": self._limit, "sampled": self._limit < self._total}
        return {**span, **searched, **sample}

    def _ask(self, name: str, **parameters: Any) -> Sequence[Sequence[Any]]:
        return self._warehouse.ask(name, {**self._parameters, **parameters})


def joined(portions: Sequence[Portion], limit: int, rows: int) -> Sequence[Portion]:
    """Return `portions` with their offsets.

    If a `limit` takes few rows of each, merge them up to `rows` of those rows.
    """
    return list(_joined(portions, limit, rows))


def _joined(portions: Sequence[Portion], limit: int, rows: int) -> Iterator[Portion]:
    total = sum(portion.number for portion in portions)
    sparse = limit < total
    current: Portion | None = None
    offset = 0
    for portion in portions:
        if current and sparse and (current.number + portion.number) * limit <= rows * total:
            current = replace(current, last=portion.last, number=current.number + portion.number)
        else:
            if current:
                yield current
            current = replace(portion, offset=offset)
        offset += portion.number
    if current:
        yield current
