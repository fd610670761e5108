"""Handles tie examples together by episode, input or near-duplicate; they are hashes that reveal no text.

A handle is a text: `episode:HASH`, `input:HASH`, or `sketch:BASE64`. Examples with the same episode or input, or with
similar sketches, belong together. The state of the sets and the lineage of a version consist of handles.
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
    """The handles of one example."""

    keys: tuple[str, ...]
    """`episode:...` if it has one, and `input:...`."""
    sketch: Sketch

    @property
    def all(self) -> tuple[str, ...]:
        """Return all handles as text."""
        return (*self.keys, f"sketch:{encode(self.sketch)}")


def handles(example: PulledExample, ignore: Collection[str] = ()) -> Handles:
    """Return the handles of an example; the fields in `ignore` do not make inputs different."""
    keys = [f"episode:{digest(example.episode_id)[:32]}"] if example.episode_id else []
    keys.append(f"input:{fields_digest(example.inputs, ignore)[:32]}")
    return Handles(tuple(keys), sketch(example.inputs, ignore))


def check_handle(handle: str) -> Sketch | None:
    """Return the sketch in a handle; None if the handle is of another kind.

    Raises:
        ValueError: the text is not a handle.
    """
    kind, _, rest = handle.partition(":")
    if kind == "sketch":
        return decode(rest)
    if kind not in KINDS or len(rest) != 32 or not set(rest) <= set("0123456789abcdef"):
        raise ValueError(f"{handle[:40]!r} is not a handle")
    return None


def lineage_of(examples: Iterable[PulledExample], ignore: Collection[str] = ()) -> tuple[str, ...]:
    """Return the handles of all examples that were used to make a version, sorted and without duplicates."""
    return tuple(sorted({handle for example in examples for handle in handles(example, ignore).all}))


def without_lineage(
    holdout: Sequence[PulledExample],
    lineage: Iterable[str],
    *,
    similarity: float = SIMILARITY,
    ignore: Collection[str] = (),
) -> tuple[list[PulledExample], int]:
    """Return the holdout examples that were not used to make a version, and how many were.

    An example counts as used if its episode, its input or a near-duplicate of its input was used.

    Args:
        holdout: the examples for the promotion test.
        lineage: what `lineage_of` returned when the version was made; for several versions, the union.
        similarity: the likeness from which two inputs are near-duplicates.
        ignore: input fields that do not make inputs different.

    Raises:
        SettingsError: the lineage contains something that is not a handle.
    """
    keys = set(lineage)
    try:
        sketches_found = [check_handle(handle) for handle in keys]
    except ValueError as error:
        raise SettingsError(f"lineage: {error}; it was not written by t0dspy, or damaged since.") from error
    sketches = SketchIndex(similarity, [example for example in sketches_found if example is not None])
    marks = [handles(example, ignore) for example in holdout]
    clean = [
        example
        for example, mark in zip(holdout, marks, strict=True)
        if not keys.intersection(mark.keys) and not sketches.find(mark.sketch)
    ]
    return clean, len(holdout) - len(clean)
