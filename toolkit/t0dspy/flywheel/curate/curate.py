"""Curation: of what was pulled, the examples that are worth learning from and judging by."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from t0dspy.flywheel.curate.caps import capped
from t0dspy.flywheel.curate.contradictions import uncontradicted
from t0dspy.flywheel.curate.diversity import diverse
from t0dspy.flywheel.curate.duplicates import distinct, unlike
from t0dspy.flywheel.curate.floor import good_enough
from t0dspy.flywheel.curate.identity import shuffled
from t0dspy.flywheel.curate.options import Cap, CurateOptions
from t0dspy.flywheel.curate.raters import weighed
from t0dspy.flywheel.curate.redaction import load_redactor, redacted
from t0dspy.flywheel.curate.schemas import Schemas, fitting
from t0dspy.flywheel.curate.step import Examples, Sieved, Step
from t0dspy.flywheel.example import PulledExample

__all__ = ["Cap", "CurateOptions", "Curated", "Schemas", "curate", "steps"]


@dataclass(frozen=True)
class Curated:
    """What curation kept, in an order that says nothing, and what it did."""

    kept: list[PulledExample]
    dropped: Mapping[str, int]
    """Reason -> how many, in the order of the steps."""
    changed: Mapping[str, int]
    """What was done to examples that are kept -> how many."""


def curate(
    examples: Iterable[PulledExample],
    options: CurateOptions,
    *,
    schemas: Schemas | None = None,
    redact: Callable[[str], str] | None = None,
) -> Curated:
    """Keep the examples that are worth it; the same ones whatever order they come in.

    Args:
        examples: as pulled.
        options: what of it can be set.
        schemas: what examples must fit; None checks nothing.
        redact: in place of the function that `options.redact` names.

    Raises:
        SettingsError: the redaction function is none, raised, or gave no text.
        ProgramError: it cannot be imported.
    """
    kept = list(examples)
    dropped, changed = Counter[str](), Counter[str]()
    for step in steps(options, schemas, redact):
        sieved = step(kept)
        kept = list(sieved.kept)
        dropped.update(sieved.dropped)
        changed.update(sieved.changed)
    return Curated(kept, dict(dropped), dict(changed))


def steps(
    options: CurateOptions, schemas: Schemas | None = None, redact: Callable[[str], str] | None = None
) -> list[Step]:
    """The steps in their order.

    Redaction is first, so that nothing else sees what it takes out. Votes are weighed before an example can be dropped
    for what the latest rater said. Contradictions come before the floor, which would
    hide one side of them, and duplicates before the caps, so that what is said twice counts once. Caps stand on both
    sides of the limit: those who are loud do not fill it, and what is kept in the end is within the caps.
    """
    if redact is None and options.redact is not None:
        redact = load_redactor(options.redact)
    first: list[Step] = [partial(redacted, redact=redact)] if redact else []
    first += [partial(_ordered, options=options), partial(weighed, options=options)]
    first += [partial(fitting, schemas=schemas)] if schemas else []
    middle: list[Step] = [partial(step, options=options) for step in (uncontradicted, good_enough, distinct, unlike)]
    caps: Step = partial(capped, caps=options.resolved_caps)
    last = [caps]
    if options.limit:
        last += [partial(diverse, limit=options.limit, ignore=options.ignore, caps=options.resolved_caps), caps]
    return [*first, *middle, *last]


def _ordered(examples: Examples, options: CurateOptions) -> Sieved:
    once = {one.to_line(): one for one in examples}
    twice = len(examples) - len(once)
    return Sieved(shuffled(once, options.seed, options.ignore), {"pulled twice": twice} if twice else {})
