"""Read the production of one program portion by portion."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from t0dspy.flywheel.example import PulledExample
from t0dspy.flywheel.pull.arms import Arms
from t0dspy.flywheel.pull.program import PulledProgram
from t0dspy.flywheel.pull.rows import ExampleBuilder
from t0dspy.flywheel.pull.summary import Summary
from t0dspy.warehouse.prefetch import prefetch
from t0dspy.warehouse.production import Portion, Production, Row, Rows


class Source:
    """A source of examples: the program that is pulled, or one whose contract it broke."""

    def __init__(
        self,
        program: PulledProgram,
        pulled: PulledProgram,
        production: Production,
        summary: Summary,
        *,
        fallbacks: bool,
    ) -> None:
        """Read the `production` of `program` as examples of `pulled`; `summary` counts what becomes of the rows."""
        self._program, self._production, self._summary = program, production, summary
        self._fallbacks, self._arms = fallbacks, Arms(production)
        self._builder = ExampleBuilder(program, pulled, summary.drops, production.scope.user)
        self._portions: Sequence[Portion] = ()

    def count(self) -> int:
        """Return how many inferences there are to pull; those that are left out are counted by reason.

        Raises:
            WarehouseError: ClickHouse fails.
        """
        self._portions, left_out = self._production.portions()
        self._summary.drops.update(left_out)
        return sum(portion.number for portion in self._portions)

    def portions(self, limit: int) -> Iterator[Iterator[PulledExample]]:
        """Yield the examples of each portion, oldest first, of at most `limit` inferences spread evenly over time.

        Raises:
            WarehouseError: ClickHouse fails.
        """
        portions = self._production.sample(self._portions, limit)
        for fetched in prefetch(partial(self._fetch, portion) for portion in portions):
            self._summary.rows_read += len(fetched.programs) + sum(map(len, fetched.stages.values()))
            yield self._examples(fetched)
        if self._program.exported.manifest.stages:
            alone = self._production.stages_without_run(self._program.exported.manifest.deadlines["program"])
            self._summary.drops.update({"stage_alone": alone} if alone else {})

    def _fetch(self, portion: Portion) -> "_Fetched":
        programs = self._production.programs(portion)
        if not self._program.exported.manifest.stages or not programs:
            return _Fetched(programs)
        return _Fetched(programs, self._production.runs(portion), self._production.stages(portion))

    def _examples(self, fetched: "_Fetched") -> Iterator[PulledExample]:
        for row in fetched.programs:
            if not self._fallbacks and self._arms.is_fallback(row):
                self._summary.drops["fallback"] += 1
                continue
            example = self._builder.example(row, self._stages(row, fetched))
            if example is not None:
                yield example

    def _stages(self, row: Row, fetched: "_Fetched") -> Sequence[PulledExample]:
        if row.id not in fetched.runs or not self._program.runs_on_server(row.variant):
            return ()
        run, cached = fetched.runs[row.id]
        if cached:
            self._summary.drops["stage_cached"] += 1
            return ()
        return self._builder.stages(fetched.stages.get(run, ()), row.tags)


@dataclass(frozen=True)
class _Fetched:
    """A portion in memory."""

    programs: Rows
    runs: Mapping[str, tuple[str, bool]] = field(default_factory=dict)
    stages: Mapping[str, Sequence[Row]] = field(default_factory=dict)
