"""Build examples from stored rows, and count the rows that are left out."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from t0dspy.artifact.variants import is_fallback_text, version_of
from t0dspy.flywheel.example import PulledExample
from t0dspy.flywheel.pull.program import PulledProgram
from t0dspy.flywheel.pull.reader import Fields, Reader
from t0dspy.flywheel.pull.stored_feedback import StoredFeedback
from t0dspy.flywheel.pull.window import timestamp_of
from t0dspy.warehouse.production import Row


class ExampleBuilder:
    """Builds the examples of one program, from its own rows or from those of a program whose contract it broke."""

    def __init__(self, program: PulledProgram, pulled: PulledProgram, drops: Counter[str], user: str) -> None:
        """Build examples of `pulled` from inferences of `program`.

        Args:
            program: the program that the rows belong to.
            pulled: the program whose contract the examples must fit.
            drops: counts what is left out, by reason.
            user: the tag that names the user of an inference.
        """
        self._program, self._pulled, self._drops, self._user = program, pulled, drops, user
        self._reader, self._now = (each.readers[each.name] for each in (program, pulled))
        self._earlier = "" if program is pulled else f"{program.name}/"

    def example(self, row: Row, stages: Sequence[PulledExample] = ()) -> PulledExample | None:
        """Build the program's example from `row` with its `stages`; None if it is left out, which is counted."""
        inputs = self._reader.arguments(row.input)
        if inputs is None or not self._now.accepts_inputs(inputs):
            return self._leave_out("misfit")
        example = self._example(row, inputs, self._reader, row.tags, stages)
        if example is not None and self._earlier and not _still_fits(example, self._now):
            return self._leave_out("misfit")
        return example

    def stages(self, rows: Iterable[Row], tags: Mapping[str, str]) -> list[PulledExample]:
        """Build the stages in `rows` of a run whose inference has `tags`, without those that are left out."""
        return [stage for row in rows if (stage := self._stage(row, tags)) is not None]

    def _stage(self, row: Row, tags: Mapping[str, str]) -> PulledExample | None:
        if self._program.exported.manifest.functions[row.function].blank:
            return self._leave_out("stage_kept")
        path = self._program.exported.manifest.predictor_of(row.function, row.variant)
        if path not in self._pulled.predictors or row.function not in self._program.readers:
            return self._leave_out("stage_gone")
        reader, now = self._program.readers[row.function], self._pulled.predictors[path]
        inputs = reader.arguments(row.input)
        if inputs is None or not now.accepts_inputs(inputs):
            return self._leave_out("stage_misfit")
        stage = self._example(row, inputs, reader, tags, predictor=path)
        if stage is not None and reader is not now and not _still_fits(stage, now):
            return self._leave_out("stage_misfit")
        return stage

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
        answer = reader.answer(row.output, as_json=is_fallback_text(row.variant))
        feedback = StoredFeedback(row.feedback, tags.get(self._user) or None, reader.demonstration)
        demonstration = feedback.demonstration
        if feedback.unread and demonstration is None:
            return self._leave_out(f"{kind}unread_demonstration")
        if answer is None and demonstration is None:
            return self._leave_out(f"{kind}unread_answer")
        example = PulledExample.__new__(PulledExample)  # the __init__ of a frozen dataclass takes three times as long
        example.__dict__.update(
            inputs=inputs,
            outputs=answer if demonstration is None else demonstration,
            model_outputs=answer,
            metrics=feedback.metrics,
            comments=feedback.comments,
            demonstration=demonstration is not None,
            inference_id=row.id,
            episode_id=row.episode,
            variant=self._earlier + version_of(row.variant),
            timestamp=timestamp_of(row.id),
            config_snapshot=row.snapshot,
            tags=row.tags,
            stages=stages,
            feedback=feedback.feedback,
            predictor=predictor,
        )
        return example

    def _leave_out(self, reason: str) -> PulledExample | None:
        self._drops[reason] += 1
        return None


def _still_fits(example: PulledExample, now: Reader) -> bool:
    """Return whether answers to an earlier contract fit the current one; a field that nobody gave may be missing."""
    outputs = [fields for fields in (example.model_outputs, example.outputs) if fields is not None]
    return all(now.accepts_outputs({**(example.model_outputs or {}), **fields}) for fields in outputs)
