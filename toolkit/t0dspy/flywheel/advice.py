"""Advise what to change when a metric raises an exception, from the facts of the run."""

import difflib
import re
from typing import Any

from t0dspy.errors import MetricError
from t0dspy.settings import Gold

_NO_ATTRIBUTE = re.compile(r"'Example' object has no attribute '(\w+)'")


class NoLabelError(MetricError):
    """One of our metrics needs a right answer that the example does not have."""

    def __init__(self, message: str, label: str | None) -> None:
        """`label` is the missing output field; None if the example has no right answer at all."""
        super().__init__(message)
        self.label = label


def advice(error: Exception, example: Any, prediction: Any, gold: Gold | None) -> str:
    """Return a sentence that says what to change; empty if the exception is not about a missing field.

    Args:
        error: the exception that the metric raised.
        example: the example that it was called with.
        prediction: the prediction that it was called with.
        gold: the program's setting; None if the examples do not depend on it, as in `t0dspy evaluate`.
    """
    label = _missing(error)
    if label is None:
        return ""
    outputs = [name for name in _names(prediction) if not name.startswith("dspy_")]
    if label in outputs:
        return _no_right_answer(label, example, gold)
    if isinstance(error, KeyError):  # the key may belong to another object than the example
        return ""
    fields = _names(example)
    near = difflib.get_close_matches(label, [*fields, *outputs], 1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"The example has the fields {', '.join(fields)}, and the program's outputs are {', '.join(outputs)}.{hint}"


def _no_right_answer(label: str, example: Any, gold: Gold | None) -> str:
    if gold == "none":
        return 'Where the metric compares with the right answer, set gold = "required" in the program\'s settings.'
    labels = ", ".join(name for name in _names(example.labels())) or "none"
    has = f"The right answer of this example lacks {label!r} (it has: {labels})."
    if gold == "required":
        return f"{has} Complete it in the data or the correction, or have the metric pass over what is missing."
    return f"{has} Add it to the data."


def _missing(error: Exception) -> str | None:
    if isinstance(error, NoLabelError):
        return error.label
    if isinstance(error, KeyError):
        return error.args[0] if error.args and isinstance(error.args[0], str) else None
    match = _NO_ATTRIBUTE.search(str(error)) if isinstance(error, AttributeError) else None
    return match.group(1) if match else None


def _names(fields: Any) -> list[str]:
    return [str(name) for name in fields.keys() if not str(name).startswith("dspy_")]  # noqa: SIM118 - not a mapping
