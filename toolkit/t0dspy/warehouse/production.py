"""What a program said in production, and what people said of that: rows of a window, a portion at a time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

from t0dspy.model import Text
from t0dspy.warehouse.ahead import Fetch
from t0dspy.warehouse.client import Warehouse

FILLED = "t0dspy::filled"
"""The tag of a demonstration that says which fields nobody gave."""

BY = "t0dspy::by"
"""The tag of feedback that names its rater; `t0dspy feedback --by` writes it."""

TEST = "t0dspy::test"
"""The tag of calls and feedback that are tests: with any value, they are not production."""

USER = "user_id"
"""The tag that names the user of an inference, by default."""

ROWS, BYTES = 40_000, 48_000_000
"""The most of a portion: it is held in memory, so that whoever reads slowly holds up no query."""

_TABLES: dict[Text, str] = {"json": "JsonInference", "chat": "ChatInference"}


@dataclass(frozen=True)
class Scope:
    """Which inferences of a program are asked for."""

    function: str
    """The program's function."""
    type: Text
    stages: Sequence[str]
    """The functions of its predictors."""
    since: int
    """Milliseconds since 1970; the window begins with it."""
    until: int
    """The same; the window ends before it, and nothing that was said later is known."""
    versions: Sequence[str] = ()
    """Only these; all when empty."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Only what carries all of these tags."""
    metrics: Mapping[str, bool | float] = field(default_factory=dict)
    """Only what has these as its latest values."""
    include: Sequence[str] = ()
    """What is usually left out: `evaluation`, `internal`, `pinned`, `test`."""
    user: str = USER
    """The tag that says whose inference it was."""
    raters: Sequence[str] = (BY, USER)
    """The tags of feedback that may name its rater; the first that a piece of feedback has counts."""

    def parameters(self) -> dict[str, Any]:
        """As the questions name them."""
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
    """An inference as it is stored, with its feedback."""

    id: str
    episode: str
    variant: str
    input: str
    """JSON."""
    output: str
    """JSON: an object with `raw` and `parsed`, or a list of content blocks."""
    tags: dict[str, str]
    snapshot: str | None
    """The hash of the gateway's config, as its `/status` says it."""
    function: str
    said: str = ""
    """A JSON array of what people said of it, see `feedback.sql`; empty where nobody said anything."""


@dataclass(frozen=True)
class Portion:
    """Inferences of a span of ids."""

    first: int
    last: int
    number: int
    offset: int = 0
    """How many come before."""


@dataclass(frozen=True)
class Rows:
    """Stored inferences, oldest first, made into rows as they are read."""

    columns: Sequence[Sequence[Any]] = ()
    feedback: Sequence[Sequence[str]] = ()
    """Columns too: the inference's id, then what was said of it."""

    def __iter__(self) -> Iterator[Row]:
        """The rows, in their order.

        Column by column, since so many tuples at once would have Python look for cycles among all there is.
        """
        if not self.columns:
            return iter(())
        ids, *said = self.feedback or [()] * (1 + _SAID)
        at = {id: number for number, id in enumerate(ids)}
        order = [at.get(id, len(ids)) for id in self.columns[0]]
        values = (map([*column, ""].__getitem__, order) for column in said)
        return map(Row._make, zip(*self.columns, *values, strict=True))

    def __len__(self) -> int:
        return len(self.columns[0]) if self.columns else 0


_SAID = len(Row._field_defaults)


class Production:
    """The answers within one scope."""

    def __init__(self, warehouse: Warehouse, scope: Scope) -> None:
        self._warehouse, self.scope = warehouse, scope
        self._parameters = {**scope.parameters(), "late": True, "graded": False}
        self._total = self._limit = 0

    def portions(self) -> tuple[Sequence[Portion], Mapping[str, int]]:
        """The portions, oldest first, and how many inferences are left out for which reason. Raises WarehouseError."""
        stage_bytes = 0
        if self.scope.stages:
            graded, stage_bytes = self._ask("stage_load")[0]
            self._parameters["graded"] = bool(graded)
        rows = self._ask("slices", rows=ROWS, bytes=BYTES, stage_bytes=stage_bytes)
        left_out = {reason: number for reason, number, _, _ in rows if reason}
        return [Portion(first, last, number) for reason, number, first, last in rows if not reason], left_out

    def sampled(self, portions: Sequence[Portion], limit: int) -> Sequence[Portion]:
        """All of the `portions`, from now on with only so many inferences that it is `limit`, evenly over time."""
        self._total, self._limit = sum(one.number for one in portions), limit
        return joined(portions, limit, ROWS) if limit else ()

    def programs(self, portion: Portion) -> Rows:
        """The program's inferences of a portion, oldest first. Raises WarehouseError."""
        return self._rows("programs", portion)

    def runs(self, portion: Portion) -> Mapping[str, tuple[str, bool]]:
        """Inference -> the episode of its stages, and whether the gateway answered from its cache."""
        return {id: (run, cached) for id, run, cached in self._ask("runs", **self._of(portion)) if run}

    def stages(self, portion: Portion) -> Mapping[str, Sequence[Row]]:
        """Episode of a run -> its stages' inferences, oldest first."""
        found: dict[str, list[Row]] = {}
        for row in self._rows("stages", portion):
            found.setdefault(row.episode, []).append(row)
        return found

    def lone_stages(self, margin: float) -> int:
        """How many stages in the window belong to no inference of the program that began `margin` seconds before it.

        None where only what has certain tags or metrics is asked for: what has no inference has none of these either.
        """
        if self.scope.tags or self.scope.metrics:
            return 0
        since = max(self.scope.since - round(margin * 1000), 0)
        return int(self._ask("lone_stages", margin=since << 80)[0][0])

    def configs(self, hashes: Sequence[str]) -> Mapping[str, str]:
        """The gateway's configs with these hashes, as TOML."""
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
    """`portions` with their offsets; where a `limit` takes few of each, as few portions as hold `rows` of those."""
    return list(_joined(portions, limit, rows))


def _joined(portions: Sequence[Portion], limit: int, rows: int) -> Iterator[Portion]:
    total = sum(one.number for one in portions)
    sparse = limit < total
    current: Portion | None = None
    offset = 0
    for one in portions:
        if current and sparse and (current.number + one.number) * limit <= rows * total:
            current = replace(current, last=one.last, number=current.number + one.number)
        else:
            if current:
                yield current
            current = replace(one, offset=offset)
        offset += one.number
    if current:
        yield current
