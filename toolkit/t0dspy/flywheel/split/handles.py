"""What ties examples together: an episode, an input, a near-duplicate; as hashes, from which no text can be read back.

A handle is a text: `episode:HASH`, `input:HASH`, or `sketch:BASE64`. Examples that share one of the first two, or whose
sketches are alike, belong together. Handles are what the state of the sets and the lineage of a version are made of.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from t0dspy.errors import SettingsError
from t0dspy.flywheel.curate.identity import fields_digest
from t0dspy.flywheel.curate.sketch import Sketch, decode, encode, sketch
from t0dspy.flywheel.curate.sketch_index import SketchIndex
from t0dspy.flywheel.example import PulledExample
from t0dspy.model import digest

KINDS = ("episode", "input", "sketch")
SIMILARITY = 0.8


@dataclass(frozen=True)
class Handles:
    """What an example can be tied to others by."""

    keys: tuple[str, ...]
    """`episode:...` where it has one, and `input:...`."""
    sketch: Sketch

    @property
    def all(self) -> tuple[str, ...]:
        """As they are written."""
        return (*self.keys, f"sketch:{encode(self.sketch)}")


def handles(example: PulledExample, ignore: Collection[str] = ()) -> Handles:
    """The handles of an example; the fields in `ignore` make no input another one."""
    keys = [f"episode:{digest(example.episode_id)[:32]}"] if example.episode_id else []
    keys.append(f"input:{fields_digest(example.inputs, ignore)[:32]}")
    return Handles(tuple(keys), sketch(example.inputs, ignore))


def check_handle(handle: str) -> Sketch | None:
    """The sketch in a handle; None where it is of another kind.

    Raises:
        ValueError: it is no handle.
    """
    kind, _, rest = handle.partition(":")
    if kind == "sketch":
        return decode(rest)
    if kind not in KINDS or len(rest) != 32 or not set(rest) <= set("0123456789abcdef"):
        raise ValueError(f"{handle[:40]!r} is no handle")
    return None


def lineage_of(examples: Iterable[PulledExample], ignore: Collection[str] = ()) -> tuple[str, ...]:
    """The handles of every example that was used in making a version, sorted, each once."""
    return tuple(sorted({handle for one in examples for handle in handles(one, ignore).all}))


def without_lineage(
    holdout: Sequence[PulledExample],
    lineage: Iterable[str],
    *,
    similarity: float = SIMILARITY,
    ignore: Collection[str] = (),
) -> tuple[list[PulledExample], int]:
    """The examples of a holdout that were not used in making a version, and how many were.

    An example counts as used when its episode, its input or a near-duplicate of it was.

    Args:
        holdout: the examples to judge by.
        lineage: what `lineage_of` gave when the version was made; of several versions, all of it.
        similarity: from which likeness on two inputs are near-duplicates.
        ignore: input fields that make no input another one.

    Raises:
        SettingsError: the lineage holds something that is no handle.
    """
    keys = set(lineage)
    try:
        found = [check_handle(handle) for handle in keys]
    except ValueError as error:
        raise SettingsError(f"lineage: {error}; it was not written by t0dspy, or damaged since.") from error
    sketches = SketchIndex(similarity, [one for one in found if one is not None])
    marks = [handles(one, ignore) for one in holdout]
    clean = [
        one
        for one, mark in zip(holdout, marks, strict=True)
        if not keys.intersection(mark.keys) and not sketches.find(mark.sketch)
    ]
    return clean, len(holdout) - len(clean)
