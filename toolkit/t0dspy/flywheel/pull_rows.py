"""From stored rows to examples; whoever is left out is counted."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from t0dspy.flywheel.pull_program import ExportedProgram
from t0dspy.flywheel.pull_reader import Fields, Reader
from t0dspy.flywheel.pull_window import timestamp_of
from t0dspy.flywheel.pulled import PulledExample
from t0dspy.warehouse.production import Row


class Rows:
    """Makes the examples of one program."""

    def __init__(self, program: ExportedProgram, drops: Counter[str]) -> None:
        """`drops` counts what is left out, by reason."""
        self._program, self._drops = program, drops
        self._reader = program.readers[program.manifest.name]

    def example(self, row: Row, stages: Sequence[PulledExample] = ()) -> PulledExample | None:
        """The program's inference in `row` with its `stages`; None, and counted, where it is left out."""
        inputs = self._reader.arguments(row.input)
        if inputs is None or not self._reader.takes(inputs):
            return self._left_out("misfit")
        return self._example(row, inputs, self._reader, "", stages=stages)

    def stages(self, rows: Iterable[Row]) -> list[PulledExample]:
        """The stages in `rows`, without those that are left out."""
        return [one for one in map(self._stage, rows) if one is not None]

    def _stage(self, row: Row) -> PulledExample | None:
        path = self._program.predictor_of(row.function, row.variant)
        if path not in self._program.predictors:
            return self._left_out("stage_gone")
        reader, now = self._program.readers[row.function], self._program.predictors[path]
        inputs = reader.arguments(row.input)
        if inputs is None or not now.takes(inputs):
            return self._left_out("stage_misfit")
        found = self._example(row, inputs, reader, "stage_", predictor=path)
        if found is not None and reader is not now and not _still_fits(found, now):
            return self._left_out("stage_misfit")
        return found

    def _example(self, row: Row, inputs: Fields, reader: Reader, kind: str, **more: Any) -> PulledExample | None:
        said = reader.answer(row.output)
        given = reader.demonstration(row.demonstration, row.filled) if row.demonstration else None
        if row.demonstration and given is None:
            return self._left_out(f"{kind}unread_demonstration")
        if said is None and given is None:
            return self._left_out(f"{kind}unread_answer")
        return PulledExample(
            inputs=inputs,
            outputs=said if given is None else given,
            model_outputs=said,
            metrics=_values(row.metrics) if row.metrics else {},
            comments=json.loads(row.comments) if row.comments else (),
            demonstration=given is not None,
            inference_id=row.id,
            episode_id=row.episode,
            variant=row.variant,
            timestamp=timestamp_of(row.id),
            config_snapshot=row.snapshot,
            tags=row.tags,
            **more,
        )

    def _left_out(self, reason: str) -> PulledExample | None:
        self._drops[reason] += 1
        return None


def _values(metrics: str) -> Mapping[str, bool | float]:
    """The metrics, whose values are stored as text: `true`, `false` or a number."""
    truths = {"true": True, "false": False}
    found = {name: truths[value] if value in truths else float(value) for name, value in json.loads(metrics).items()}
    return dict(sorted(found.items()))


def _still_fits(example: PulledExample, now: Reader) -> bool:
    """Whether the answers to an earlier contract are ones to today's; a field that nobody gave may be missing."""
    told = [one for one in (example.model_outputs, example.outputs) if one is not None]
    return all(now.gives({**(example.model_outputs or {}), **one}) for one in told)
