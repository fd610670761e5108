"""Read a program's production inferences with their feedback as `PulledExample`s."""

import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from t0dspy.flywheel.example import PulledExample
from t0dspy.flywheel.pull.plan import PullOptions, PullPlan, plan_pull
from t0dspy.flywheel.pull.source import Source
from t0dspy.flywheel.pull.summary import Summary
from t0dspy.flywheel.pull.window import rfc3339
from t0dspy.warehouse.client import Warehouse
from t0dspy.warehouse.production import Production


class Pull:
    """The examples of a pull, to be read once, portion by portion, so that memory does not grow with the window."""

    def __init__(self, plan: PullPlan, warehouse: Warehouse) -> None:
        """Prepare the pull; nothing is queried before the first example is read."""
        self._plan = plan
        self.summary = Summary(plan.program.name, rfc3339(plan.scope.since), rfc3339(plan.scope.until))
        """Counts what became of the rows; complete at the end."""
        self._sources = [
            Source(program, plan.program, Production(warehouse, scope), self.summary, fallbacks=plan.fallbacks)
            for program, scope in plan.parts
        ]
        self._examples = self._read()

    def __iter__(self) -> Iterator[PulledExample]:
        """Yield the examples that were not read yet.

        Raises:
            WarehouseError: ClickHouse fails, at the start or while it is read.
        """
        return self._examples

    def _read(self) -> Iterator[PulledExample]:
        summary, started = self.summary, time.monotonic()
        totals = [source.count() for source in self._sources]
        for source, limit in zip(self._sources, apportioned(self._plan.limit, totals), strict=True):
            for examples in source.portions(limit):
                for example in examples:
                    summary.examples += 1
                    summary.stages += len(example.stages)
                    yield example
                summary.seconds = time.monotonic() - started
        summary.seconds, summary.complete = time.monotonic() - started, True


def apportioned(limit: int | None, totals: Sequence[int]) -> Sequence[int]:
    """Return how many of each to take, in proportion to `totals`, so that the sum is `limit`."""
    everything = sum(totals)
    if limit is None or limit >= everything:
        return totals
    reached = [limit * sum(totals[:index]) // everything for index in range(len(totals) + 1)]
    return [after - before for before, after in pairwise(reached)]


def pull_examples(program: str, options: PullOptions, warehouse: Warehouse, configs: Path) -> Pull:
    """Pull a program's inferences in production as examples; nothing is queried before the first is read.

    Args:
        program: the name of an exported program.
        options: which inferences to pull.
        warehouse: the database that the gateway logs to; read access is enough.
        configs: the directory of TensorZero's config.

    Raises:
        SettingsError: an option is not valid.
        BundleError: the program was never exported, or not in that version.
    """
    return Pull(plan_pull(program, options, configs), warehouse)
