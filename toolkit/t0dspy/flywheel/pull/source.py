"""The production of one program, read portion by portion."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from t0dspy.flywheel.example import PulledExample
from t0dspy.flywheel.pull.arms import Arms
from t0dspy.flywheel.pull.program import PulledProgram
from t0dspy.flywheel.pull.rows import Examiner
from t0dspy.flywheel.pull.summary import Summary
from t0dspy.warehouse.ahead import one_ahead
from t0dspy.warehouse.production import Portion, Production, Row, Rows


class Source:
    """Where examples come from: the program that is pulled, or one whose contract it broke."""

    def __init__(
        self,
        program: PulledProgram,
        pulled: PulledProgram,
        production: Production,
        summary: Summary,
        *,
        fallbacks: bool,
    ) -> None:
        """Reads the `production` of `program` as examples of `pulled`, and tells `summary` what became of the rows."""
        self._program, self._production, self._summary = program, production, summary
        self._fallbacks, self._arms = fallbacks, Arms(production)
        self._examiner = Examiner(program, pulled, summary.drops, production.scope.user)
        self._portions: Sequence[Portion] = ()

    def count(self) -> int:
        """How many inferences there are to pull; those that are left out are counted away. Raises WarehouseError."""
        self._portions, left_out = self._production.portions()
        self._summary.drops.update(left_out)
        return sum(one.number for one in self._portions)

    def portions(self, limit: int) -> Iterator[Iterator[PulledExample]]:
        """The examples of each portion, oldest first; of at most `limit` inferences, evenly over time.

        Raises:
            WarehouseError: ClickHouse fails.
        """
        portions = self._production.sampled(self._portions, limit)
        for fetched in one_ahead(partial(self._fetch, portion) for portion in portions):
            self._summary.rows_read += len(fetched.programs) + sum(map(len, fetched.stages.values()))
            yield self._examples(fetched)
        if self._program.exported.manifest.stages:
            alone = self._production.lone_stages(self._program.exported.manifest.deadlines["program"])
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
            example = self._examiner.example(row, self._stages(row, fetched))
            if example is not None:
                yield example

    def _stages(self, row: Row, fetched: "_Fetched") -> Sequence[PulledExample]:
        if row.id not in fetched.runs or not self._program.runs_on_server(row.variant):
            return ()
        run, cached = fetched.runs[row.id]
        if cached:
            self._summary.drops["stage_cached"] += 1
            return ()
        return self._examiner.stages(fetched.stages.get(run, ()), row.tags)


@dataclass(frozen=True)
class _Fetched:
    """A portion in memory."""

    programs: Rows
    runs: Mapping[str, tuple[str, bool]] = field(default_factory=dict)
    stages: Mapping[str, Sequence[Row]] = field(default_factory=dict)
