"""From stored rows to examples; whoever is left out is counted."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from t0dspy.flywheel.pulled import PulledExample
from t0dspy.flywheel.pulling.program import ExportedProgram
from t0dspy.flywheel.pulling.reader import Fields, Reader
from t0dspy.flywheel.pulling.window import timestamp_of
from t0dspy.warehouse.production import Row


class Examiner:
    """Makes the examples of one program, or of the one that broke its contract."""

    def __init__(self, program: ExportedProgram, pulled: ExportedProgram, drops: Counter[str]) -> None:
        """Reads inferences of `program` that fit `pulled`; `drops` counts what is left out, by reason."""
        self._program, self._pulled, self._drops = program, pulled, drops
        self._reader, self._now = (one.readers[one.manifest.name] for one in (program, pulled))
        self._earlier = "" if program is pulled else f"{program.manifest.name}/"

    def example(self, row: Row, stages: Sequence[PulledExample] = ()) -> PulledExample | None:
        """The program's inference in `row` with its `stages`; None, and counted, where it is left out."""
        inputs = self._reader.arguments(row.input)
        if inputs is None or not self._now.takes(inputs):
            return self._left_out("misfit")
        found = self._example(row, inputs, self._reader, stages)
        if found is not None and self._earlier and not _still_fits(found, self._now):
            return self._left_out("misfit")
        return found

    def stages(self, rows: Iterable[Row]) -> list[PulledExample]:
        """The stages in `rows`, without those that are left out."""
        return [one for one in map(self._stage, rows) if one is not None]

    def _stage(self, row: Row) -> PulledExample | None:
        path = self._program.predictor_of(row.function, row.variant)
        if path not in self._pulled.predictors:
            return self._left_out("stage_gone")
        reader, now = self._program.readers[row.function], self._pulled.predictors[path]
        inputs = reader.arguments(row.input)
        if inputs is None or not now.takes(inputs):
            return self._left_out("stage_misfit")
        found = self._example(row, inputs, reader, predictor=path)
        if found is not None and reader is not now and not _still_fits(found, now):
            return self._left_out("stage_misfit")
        return found

    def _example(
        self,
        row: Row,
        inputs: Fields,
        reader: Reader,
        stages: Sequence[PulledExample] = (),
        predictor: str | None = None,
    ) -> PulledExample | None:
        kind = "" if predictor is None else "stage_"
        said = reader.answer(row.output)
        given = reader.demonstration(row.demonstration, row.filled) if row.demonstration else None
        if row.demonstration and given is None:
            return self._left_out(f"{kind}unread_demonstration")
        if said is None and given is None:
            return self._left_out(f"{kind}unread_answer")
        found = PulledExample.__new__(PulledExample)  # a frozen value's __init__ takes three times as long
        found.__dict__.update(
            inputs=inputs,
            outputs=said if given is None else given,
            model_outputs=said,
            metrics=_values(row.metrics) if row.metrics else {},
            comments=json.loads(row.comments) if row.comments else (),
            demonstration=given is not None,
            inference_id=row.id,
            episode_id=row.episode,
            variant=self._earlier + row.variant,
            timestamp=timestamp_of(row.id),
            config_snapshot=row.snapshot,
            tags=row.tags,
            stages=stages,
            predictor=predictor,
        )
        return found

    def _left_out(self, reason: str) -> PulledExample | None:
        self._drops[reason] += 1
        return None


def _values(metrics: str) -> dict[str, bool | float]:
    """The metrics, whose values are stored as text: `true`, `false` or a number."""
    return dict(_parsed_values(metrics))


@lru_cache(maxsize=4096)
def _parsed_values(metrics: str) -> Mapping[str, bool | float]:
    truths = {"true": True, "false": False}
    found = {name: truths[value] if value in truths else float(value) for name, value in json.loads(metrics).items()}
    return dict(sorted(found.items()))


def _still_fits(example: PulledExample, now: Reader) -> bool:
    """Whether the answers to an earlier contract are ones to today's; a field that nobody gave may be missing."""
    told = [one for one in (example.model_outputs, example.outputs) if one is not None]
    return all(now.gives({**(example.model_outputs or {}), **one}) for one in told)
