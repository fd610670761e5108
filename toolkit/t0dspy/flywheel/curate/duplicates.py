"""One example for each input, and one for all inputs that are nearly the same."""

from t0dspy.flywheel.curate.alike import Alike
from t0dspy.flywheel.curate.identity import fields_digest, outputs_digest, said_wrong, worth
from t0dspy.flywheel.curate.options import CurateOptions
from t0dspy.flywheel.curate.sketch import sketch
from t0dspy.flywheel.curate.step import Examples, Sieved, grouped, sieve
from t0dspy.flywheel.example import PulledExample


def distinct(examples: Examples, options: CurateOptions) -> Sieved:
    """Keeps of each input the example about which people said most, an answer that they found wrong last.

    How often an input came counts for nothing.
    """
    groups = grouped(examples, lambda one: fields_digest(one.inputs, options.ignore))
    best = {id(min(group, key=_place) if len(group) > 1 else group[0]) for group in groups.values()}
    return sieve(examples, lambda one: None if id(one) in best else "duplicate")


def unlike(examples: Examples, options: CurateOptions) -> Sieved:
    """Keeps of inputs that are near-duplicates the one that `distinct` would keep of equal ones.

    An example is dropped for one that is kept, never for one that is itself dropped: a chain of inputs, each a little
    different from the one before, keeps its ends.
    """
    kept: set[int] = set()
    leaders = Alike(options.similarity)
    for one in sorted(examples, key=_preference):
        mark = sketch(one.inputs, options.ignore)
        if not leaders.find(mark):
            leaders.add(mark)
            kept.add(id(one))
    return sieve(examples, lambda one: None if id(one) in kept else "near-duplicate")


def _preference(one: PulledExample) -> tuple[bool, ...]:
    return said_wrong(one), *worth(one)


def _place(one: PulledExample) -> tuple[tuple[bool, ...], str, str]:
    return _preference(one), outputs_digest(one.outputs) or "", one.to_line()
