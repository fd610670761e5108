"""Decide when two inputs or outputs are equal, and put examples in an order that is unrelated to time."""

import unicodedata
from collections.abc import Collection, Mapping
from typing import Any

from t0dspy.flywheel.example import PulledExample
from t0dspy.model import canonical, digest


def normalize(value: Any) -> Any:
    """Return `value` in a form that is the same for equal values.

    Text is in Unicode form C with runs of whitespace reduced to one blank, whole numbers are integers, keys are sorted.
    """
    if isinstance(value, str):
        return " ".join(unicodedata.normalize("NFC", value).split())
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {unicodedata.normalize("NFC", key): normalize(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [normalize(item) for item in value]
    return value


def fields_digest(fields: Mapping[str, Any], ignore: Collection[str] = ()) -> str:
    """Return a SHA-256 of fields, equal for fields that are equal after `normalize`; null fields count as absent."""
    return digest(
        canonical(normalize({key: value for key, value in fields.items() if value is not None and key not in ignore}))
    )


def outputs_digest(outputs: Mapping[str, Any] | None) -> str | None:
    """Return the digest of outputs; None if there are none."""
    return None if outputs is None else fields_digest(outputs)


def feedback_rank(example: PulledExample) -> tuple[bool, ...]:
    """Return a sort key that puts examples with more feedback first."""
    return (
        not example.demonstration,
        example.outputs is None,
        not example.metrics,
        not example.comments,
    )


def is_rated_wrong(example: PulledExample) -> bool:
    """Return whether people rated the model's own answer as wrong."""
    return not example.demonstration and any(value is False for value in example.metrics.values())


def shuffled(by_line: Mapping[str, PulledExample], seed: int, ignore: Collection[str] = ()) -> list[PulledExample]:
    """Return the examples in an order that depends only on `seed` and their contents.

    Args:
        by_line: each example by its line.
        seed: another seed gives another order.
        ignore: input fields that do not affect the order.
    """

    def place(line: str) -> tuple[str, tuple[bool, ...], str, str]:
        example = by_line[line]
        inputs = digest(f"{seed} {fields_digest(example.inputs, ignore)}")
        return inputs, feedback_rank(example), outputs_digest(example.outputs) or "", digest(line)

    return [by_line[line] for line in sorted(by_line, key=place)]
