"""Curation: choose the pulled examples that are worth training and testing on."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from t0dspy.flywheel.curate.caps import apply_caps
from t0dspy.flywheel.curate.contradictions import drop_contradictions
from t0dspy.flywheel.curate.diversity import keep_diverse
from t0dspy.flywheel.curate.duplicates import drop_duplicates, drop_near_duplicates
from t0dspy.flywheel.curate.floor import apply_floor
from t0dspy.flywheel.curate.identity import shuffled
from t0dspy.flywheel.curate.options import Cap, CurateOptions
from t0dspy.flywheel.curate.raters import weigh_votes
from t0dspy.flywheel.curate.redaction import load_redactor, redact_examples
from t0dspy.flywheel.curate.schemas import Schemas, drop_misfits
from t0dspy.flywheel.curate.step import Examples, Step, StepResult
from t0dspy.flywheel.example import PulledExample

__all__ = ["Cap", "CurateOptions", "Curated", "Schemas", "curate", "steps"]


@dataclass(frozen=True)
class Curated:
    """The examples that curation kept, in an order unrelated to time, and counts of what it did."""

    kept: list[PulledExample]
    dropped: Mapping[str, int]
    """Reason -> how many examples were dropped for it, in the order of the steps."""
    changed: Mapping[str, int]
    """Change -> how many of the kept examples it was made to."""


def curate(
    examples: Iterable[PulledExample],
    options: CurateOptions,
    *,
    schemas: Schemas | None = None,
    redact: Callable[[str], str] | None = None,
) -> Curated:
    """Keep the examples that are worth learning from; the result does not depend on their order.

    Args:
        examples: as pulled.
        options: the options of curation.
        schemas: the schemas that examples must fit; None skips this check.
        redact: used instead of the function that `options.redact` names.

    Raises:
        SettingsError: the redaction function is not callable, raised an exception, or did not return text.
        ProgramError: the redaction function cannot be imported.
    """
    kept = list(examples)
    dropped, changed = Counter[str](), Counter[str]()
    for step in steps(options, schemas, redact):
        result = step(kept)
        kept = list(result.kept)
        dropped.update(result.dropped)
        changed.update(result.changed)
    return Curated(kept, dict(dropped), dict(changed))


def steps(
    options: CurateOptions, schemas: Schemas | None = None, redact: Callable[[str], str] | None = None
) -> list[Step]:
    """Return the steps of curation in their order.

    Redaction comes first, so that the others get only the redacted text. Votes are weighed before any step that could
    drop an example because of its latest rating. Contradictions come before the floor, because the floor would remove
    one side of them. Duplicates come before the caps, so that repeated inputs count once. Caps are applied before and
    after the limit: before, so that a few very active users do not fill it; after, so that the result obeys the caps.
    """
    if redact is None and options.redact is not None:
        redact = load_redactor(options.redact)
    first: list[Step] = [partial(redact_examples, redact=redact)] if redact else []
    first += [partial(_shuffle, options=options), partial(weigh_votes, options=options)]
    first += [partial(drop_misfits, schemas=schemas)] if schemas else []
    middle: list[Step] = [
        partial(step, options=options)
        for step in (drop_contradictions, apply_floor, drop_duplicates, drop_near_duplicates)
    ]
    caps: Step = partial(apply_caps, caps=options.resolved_caps)
    last = [caps]
    if options.limit:
        last += [partial(keep_diverse, limit=options.limit, ignore=options.ignore, caps=options.resolved_caps), caps]
    return [*first, *middle, *last]


def _shuffle(examples: Examples, options: CurateOptions) -> StepResult:
    once = {example.to_line(): example for example in examples}
    twice = len(examples) - len(once)
    return StepResult(shuffled(once, options.seed, options.ignore), {"pulled twice": twice} if twice else {})
