"""Pull: what a program said in production, with what people said of it, as examples."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from t0dspy.errors import SettingsError
from t0dspy.flywheel.pull_arms import Arms
from t0dspy.flywheel.pull_program import ExportedProgram, exported_program
from t0dspy.flywheel.pull_rows import Rows
from t0dspy.flywheel.pull_summary import Summary
from t0dspy.flywheel.pull_window import Window, rfc3339, window_of
from t0dspy.flywheel.pulled import PulledExample
from t0dspy.warehouse.client import Warehouse
from t0dspy.warehouse.production import Portion, Production, Row, Scope

INCLUDABLE = ("pinned", "internal", "evaluation")
"""Rows that are no production, unless asked for."""


@dataclass(frozen=True)
class PullOptions:
    """Which inferences to pull; by default all of the last 30 days that are production."""

    window: str = "30d"
    """Its length: `45m`, `12h`, `30d`, `4w`. An inference is in it when it, or its newest feedback, is."""
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


class Pull:
    """The examples of a pull, portion by portion, so that memory does not grow with the window; to be read once."""

    def __init__(self, program: ExportedProgram, production: Production, window: Window, *, fallbacks: bool) -> None:
        self._program, self._production, self._fallbacks = program, production, fallbacks
        self.summary = Summary(program.manifest.name, rfc3339(window.since), rfc3339(window.until))
        """What became of the rows; complete at the end."""
        self._examples = self._read()

    def __iter__(self) -> Iterator[PulledExample]:
        """Itself.

        Raises:
            WarehouseError: ClickHouse fails, at the start or on the way.
        """
        return self

    def __next__(self) -> PulledExample:
        return next(self._examples)

    def _read(self) -> Iterator[PulledExample]:
        summary, started = self.summary, time.monotonic()
        portions, left_out = self._production.portions()
        summary.drops.update(left_out)
        rows, arms = Rows(self._program, summary.drops), Arms(self._production)
        for portion in portions:
            for example in self._of(portion, rows, arms):
                summary.examples += 1
                summary.stages += len(example.stages)
                summary.seconds = time.monotonic() - started
                yield example
        if self._program.stages:
            alone = self._production.lone_stages(self._program.manifest.deadlines["program"])
            summary.drops.update({"stage_alone": alone} if alone else {})
        summary.seconds, summary.complete = time.monotonic() - started, True

    def _of(self, portion: Portion, rows: Rows, arms: Arms) -> Iterator[PulledExample]:
        found = self._production.programs(portion)
        runs: Mapping[str, tuple[str, bool]] = {}
        stages: Mapping[str, Sequence[Row]] = {}
        if self._program.stages and found:
            runs, stages = self._production.runs(portion), self._production.stages(portion)
        self.summary.rows_read += len(found) + sum(map(len, stages.values()))
        for row in found:
            if not self._fallbacks and arms.is_fallback(row):
                self.summary.drops["fallback"] += 1
                continue
            run, cached = runs.get(row.id, ("", False))
            if cached and run:
                self.summary.drops["stage_cached"] += 1
            example = rows.example(row, () if cached or not run else rows.stages(stages.get(run, ())))
            if example is not None:
                yield example


def pull_examples(
    program: str,
    options: PullOptions,
    warehouse: Warehouse,
    configs: Path,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Pull:
    """What `program` said in production, as examples; nothing is asked before the first is wanted.

    Args:
        program: the name of an exported program.
        options: which inferences.
        warehouse: where the gateway logs to; a user that only reads will do.
        configs: the directory of TensorZero's config.
        now: the clock.

    Raises:
        SettingsError: an option is not one.
        BundleError: the program was never exported, or not in that version.
    """
    for one in options.include:
        if one not in INCLUDABLE:
            raise SettingsError(f"include {one!r}: there are {', '.join(INCLUDABLE)}.")
    if options.limit is not None and options.limit < 1:
        raise SettingsError(f"the limit {options.limit}: give a number above 0.")
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
    return Pull(exported, Production(warehouse, scope), window, fallbacks=options.fallbacks)
