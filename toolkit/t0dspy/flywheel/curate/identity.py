"""When two inputs, or two outputs, are the same one, and an order of examples that says nothing of when they came."""

import unicodedata
from collections.abc import Collection, Mapping
from typing import Any

from t0dspy.flywheel.example import PulledExample
from t0dspy.model import canonical, digest


def same(value: Any) -> Any:
    """`value` in a spelling that equal values share.

    Texts are in Unicode's form C with one blank for each run of them, whole numbers are integers, keys are sorted.
    """
    if isinstance(value, str):
        return " ".join(unicodedata.normalize("NFC", value).split())
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {unicodedata.normalize("NFC", key): same(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [same(one) for one in value]
    return value


def fields_digest(fields: Mapping[str, Any], ignore: Collection[str] = ()) -> str:
    """The SHA-256 of fields, equal for fields that are the `same`; a field that is null counts as absent."""
    return digest(canonical(same({key: one for key, one in fields.items() if one is not None and key not in ignore})))


def outputs_digest(outputs: Mapping[str, Any] | None) -> str | None:
    """The same of outputs; None for none."""
    return None if outputs is None else fields_digest(outputs)


def worth(example: PulledExample) -> tuple[bool, ...]:
    """Sorts examples by how much people said: smaller is more."""
    return (
        not example.demonstration,
        example.outputs is None,
        not example.metrics,
        not example.comments,
    )


def said_wrong(example: PulledExample) -> bool:
    """Whether people said that its answer, which is the model's own, is not right."""
    return not example.demonstration and any(value is False for value in example.metrics.values())


def shuffled(by_line: Mapping[str, PulledExample], seed: int, ignore: Collection[str] = ()) -> list[PulledExample]:
    """The examples in an order that `seed` and their contents decide, whatever order they come in.

    Args:
        by_line: each example by its line.
        seed: gives another order.
        ignore: input fields that do not count.
    """

    def place(line: str) -> tuple[str, tuple[bool, ...], str, str]:
        one = by_line[line]
        inputs = digest(f"{seed} {fields_digest(one.inputs, ignore)}")
        return inputs, worth(one), outputs_digest(one.outputs) or "", digest(line)

    return [by_line[line] for line in sorted(by_line, key=place)]
