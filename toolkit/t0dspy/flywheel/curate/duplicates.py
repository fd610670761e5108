"""Keep one example per input, and one per group of nearly equal inputs."""

from t0dspy.flywheel.curate.identity import feedback_rank, fields_digest, is_rated_wrong, outputs_digest
from t0dspy.flywheel.curate.options import CurateOptions
from t0dspy.flywheel.curate.sketch import sketch
from t0dspy.flywheel.curate.sketch_index import SketchIndex
from t0dspy.flywheel.curate.step import Examples, StepResult, grouped, sieve
from t0dspy.flywheel.example import PulledExample


def drop_duplicates(examples: Examples, options: CurateOptions) -> StepResult:
    """Keep the example with the most feedback for each input; an answer that people rated wrong comes last.

    How often an input occurred does not matter.
    """
    groups = grouped(examples, lambda example: fields_digest(example.inputs, options.ignore))
    best = {id(min(group, key=_sort_key) if len(group) > 1 else group[0]) for group in groups.values()}
    return sieve(examples, lambda example: None if id(example) in best else "duplicate")


def drop_near_duplicates(examples: Examples, options: CurateOptions) -> StepResult:
    """Keep one of several nearly equal inputs, by the same preference as `drop_duplicates`.

    An example is dropped only because of one that is kept, never because of one that is dropped itself. So in a chain
    of
    inputs that each differ a little from the previous one, both ends are kept.
    """
    kept: set[int] = set()
    leaders = SketchIndex(options.similarity)
    for example in sorted(examples, key=_preference):
        inputs_sketch = sketch(example.inputs, options.ignore)
        if not leaders.find(inputs_sketch):
            leaders.add(inputs_sketch)
            kept.add(id(example))
    return sieve(examples, lambda example: None if id(example) in kept else "near-duplicate")


def _preference(example: PulledExample) -> tuple[bool, ...]:
    return is_rated_wrong(example), *feedback_rank(example)


def _sort_key(example: PulledExample) -> tuple[tuple[bool, ...], str, str]:
    return _preference(example), outputs_digest(example.outputs) or "", example.to_line()
