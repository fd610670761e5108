"""Pull: what a program said in production, with what people said of it, as examples."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from t0dspy.errors import SettingsError
from t0dspy.flywheel.pull_ahead import one_ahead
from t0dspy.flywheel.pull_arms import Arms
from t0dspy.flywheel.pull_program import ExportedProgram, exported_program
from t0dspy.flywheel.pull_rows import Rows
from t0dspy.flywheel.pull_summary import Summary
from t0dspy.flywheel.pull_window import rfc3339, window_of
from t0dspy.flywheel.pulled import PulledExample
from t0dspy.warehouse.client import Warehouse
from t0dspy.warehouse.production import Portion, Production, Row, Scope
from t0dspy.warehouse.production import Rows as StoredRows

INCLUDABLE = ("pinned", "internal", "evaluation")
"""Rows that are no production, unless asked for."""


@dataclass(frozen=True)
class PullOptions:
    """Which inferences to pull; by default all of the last 30 days that are production."""

    window: str | timedelta = "30d"
    """Its length, such as `45m`, `12h`, `30d` or `4w`. An inference is in it when it, or its newest feedback, is."""
    until: datetime | None = None
    """Its end, by default now. What was said later is not known to the pull."""
    versions: Sequence[str] = ()
    """Only inferences that these versions answered; all when empty."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Only inferences that carry all of these."""
    metrics: Mapping[str, bool | float] = field(default_factory=dict)
    """Only inferences whose latest values are these."""
    limit: int | None = None
    """At most so many, evenly over time."""
    include: Sequence[str] = ()
    """What is left out otherwise: `pinned`, `internal`, `evaluation`."""
    fallbacks: bool = True
    """Whether answers of a version that only stood in for another one come along; a comparison must leave them out."""


@dataclass(frozen=True)
class PullPlan:
    """What will be asked of ClickHouse."""

    program: ExportedProgram
    scope: Scope
    fallbacks: bool = True


class Pull:
    """The examples of a pull, portion by portion, so that memory does not grow with the window; to be read once."""

    def __init__(self, plan: PullPlan, warehouse: Warehouse) -> None:
        """Nothing is asked before the first example is wanted."""
        self._program, self._fallbacks = plan.program, plan.fallbacks
        self._production = Production(warehouse, plan.scope)
        self.summary = Summary(plan.program.manifest.name, rfc3339(plan.scope.since), rfc3339(plan.scope.until))
        """What became of the rows; complete at the end."""
        self._examples = self._read()

    def __iter__(self) -> Iterator[PulledExample]:
        """The examples that have not been read yet.

        Raises:
            WarehouseError: ClickHouse fails, at the start or on the way.
        """
        return self._examples

    def _read(self) -> Iterator[PulledExample]:
        summary, started = self.summary, time.monotonic()
        portions, left_out = self._production.portions()
        summary.drops.update(left_out)
        rows, arms = Rows(self._program, summary.drops), Arms(self._production)
        for fetched in one_ahead(partial(self._fetch, portion) for portion in portions):
            summary.rows_read += len(fetched.programs) + sum(map(len, fetched.stages.values()))
            for example in self._examples_of(fetched, rows, arms):
                summary.examples += 1
                summary.stages += len(example.stages)
                yield example
            summary.seconds = time.monotonic() - started
        if self._program.stages:
            alone = self._production.lone_stages(self._program.manifest.deadlines["program"])
            summary.drops.update({"stage_alone": alone} if alone else {})
        summary.seconds, summary.complete = time.monotonic() - started, True

    def _fetch(self, portion: Portion) -> "_Fetched":
        programs = self._production.programs(portion)
        if not self._program.stages or not programs:
            return _Fetched(programs)
        return _Fetched(programs, self._production.runs(portion), self._production.stages(portion))

    def _examples_of(self, fetched: "_Fetched", rows: Rows, arms: Arms) -> Iterator[PulledExample]:
        for row in fetched.programs:
            if not self._fallbacks and arms.is_fallback(row):
                self.summary.drops["fallback"] += 1
                continue
            example = rows.example(row, self._stages(row, fetched, rows))
            if example is not None:
                yield example

    def _stages(self, row: Row, fetched: "_Fetched", rows: Rows) -> Sequence[PulledExample]:
        if row.id not in fetched.runs:
            return ()
        run, cached = fetched.runs[row.id]
        if cached:
            self.summary.drops["stage_cached"] += 1
            return ()
        return rows.stages(fetched.stages.get(run, ()))


@dataclass(frozen=True)
class _Fetched:
    """A portion in memory."""

    programs: StoredRows
    runs: Mapping[str, tuple[str, bool]] = field(default_factory=dict)
    stages: Mapping[str, Sequence[Row]] = field(default_factory=dict)


def pull_examples(program: str, options: PullOptions, warehouse: Warehouse, configs: Path) -> Pull:
    """What `program` said in production, as examples; nothing is asked before the first is wanted.

    Args:
        program: the name of an exported program.
        options: which inferences.
        warehouse: where the gateway logs to; a user that only reads will do.
        configs: the directory of TensorZero's config.

    Raises:
        SettingsError: an option is not one.
        BundleError: the program was never exported, or not in that version.
    """
    return Pull(plan_pull(program, options, configs), warehouse)


def plan_pull(
    program: str, options: PullOptions, configs: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> PullPlan:
    """What `pull_examples` will ask, before there is a database to ask; `now` is the clock.

    Raises:
        SettingsError: an option is not one.
        BundleError: the program was never exported, or not in that version.
    """
    _check(options)
    exported = exported_program(configs, program, options.versions)
    window = window_of(options.window, options.until or now())
    scope = Scope(
        function=program,
        type=exported.function.type,
        stages=exported.stages,
        since=window.since,
        until=window.until,
        versions=options.versions,
        tags=options.tags,
        metrics=options.metrics,
        include=options.include,
        limit=options.limit,
    )
    return PullPlan(exported, scope, options.fallbacks)


def _check(options: PullOptions) -> None:
    for one in options.include:
        if one not in INCLUDABLE:
            raise SettingsError(f"include {one!r}: there are {', '.join(INCLUDABLE)}.")
    if options.limit is not None and options.limit < 1:
        raise SettingsError(f"the limit {options.limit}: give a number above 0.")
