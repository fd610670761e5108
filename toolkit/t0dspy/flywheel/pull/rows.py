"""From stored rows to examples; whoever is left out is counted."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from t0dspy.flywheel.example import PulledExample
from t0dspy.flywheel.pull.program import PulledProgram
from t0dspy.flywheel.pull.reader import Fields, Reader
from t0dspy.flywheel.pull.voices import Voices
from t0dspy.flywheel.pull.window import timestamp_of
from t0dspy.warehouse.production import Row


class Examiner:
    """Makes the examples of one program, or of the one that broke its contract."""

    def __init__(self, program: PulledProgram, pulled: PulledProgram, drops: Counter[str], user: str) -> None:
        """Reads inferences of `program` that fit `pulled`; `drops` counts what is left out, by reason.

        The tag `user` of an inference says whose it was.
        """
        self._program, self._pulled, self._drops, self._user = program, pulled, drops, user
        self._reader, self._now = (one.readers[one.name] for one in (program, pulled))
        self._earlier = "" if program is pulled else f"{program.name}/"

    def example(self, row: Row, stages: Sequence[PulledExample] = ()) -> PulledExample | None:
        """The program's inference in `row` with its `stages`; None, and counted, where it is left out."""
        inputs = self._reader.arguments(row.input)
        if inputs is None or not self._now.takes(inputs):
            return self._left_out("misfit")
        found = self._example(row, inputs, self._reader, row.tags, stages)
        if found is not None and self._earlier and not _still_fits(found, self._now):
            return self._left_out("misfit")
        return found

    def stages(self, rows: Iterable[Row], tags: Mapping[str, str]) -> list[PulledExample]:
        """The stages in `rows` of a run whose inference has `tags`, without those that are left out."""
        return [one for row in rows if (one := self._stage(row, tags)) is not None]

    def _stage(self, row: Row, tags: Mapping[str, str]) -> PulledExample | None:
        path = self._program.exported.manifest.predictor_of(row.function, row.variant)
        if path not in self._pulled.predictors:
            return self._left_out("stage_gone")
        reader, now = self._program.readers[row.function], self._pulled.predictors[path]
        inputs = reader.arguments(row.input)
        if inputs is None or not now.takes(inputs):
            return self._left_out("stage_misfit")
        found = self._example(row, inputs, reader, tags, predictor=path)
        if found is not None and reader is not now and not _still_fits(found, now):
            return self._left_out("stage_misfit")
        return found

    def _example(
        self,
        row: Row,
        inputs: Fields,
        reader: Reader,
        tags: Mapping[str, str],
        stages: Sequence[PulledExample] = (),
        predictor: str | None = None,
    ) -> PulledExample | None:
        kind = "" if predictor is None else "stage_"
        said = reader.answer(row.output)
        voices = Voices(row.said, tags.get(self._user) or None, reader.demonstration)
        given = voices.demonstration
        if voices.unread and given is None:
            return self._left_out(f"{kind}unread_demonstration")
        if said is None and given is None:
            return self._left_out(f"{kind}unread_answer")
        found = PulledExample.__new__(PulledExample)  # a frozen value's __init__ takes three times as long
        found.__dict__.update(
            inputs=inputs,
            outputs=said if given is None else given,
            model_outputs=said,
            metrics=voices.metrics,
            comments=voices.comments,
            demonstration=given is not None,
            inference_id=row.id,
            episode_id=row.episode,
            variant=self._earlier + row.variant,
            timestamp=timestamp_of(row.id),
            config_snapshot=row.snapshot,
            tags=row.tags,
            stages=stages,
            feedback=voices.feedback,
            predictor=predictor,
        )
        return found

    def _left_out(self, reason: str) -> PulledExample | None:
        self._drops[reason] += 1
        return None


def _still_fits(example: PulledExample, now: Reader) -> bool:
    """Whether the answers to an earlier contract are ones to today's; a field that nobody gave may be missing."""
    told = [one for one in (example.model_outputs, example.outputs) if one is not None]
    return all(now.gives({**(example.model_outputs or {}), **one}) for one in told)
