"""JSON values as a program's own types want them, and pulled examples as `dspy.Example`s."""

from collections.abc import Mapping
from typing import Any

import dspy
from dspy.adapters.utils import parse_value

from t0dspy.errors import SettingsError
from t0dspy.flywheel.metrics import ANSWER, COMMENTS, FEEDBACK
from t0dspy.flywheel.pulled import PulledExample

ID = "dspy_inference_id"
"""Where an example keeps the inference it comes from."""


def typed(fields: Mapping[str, Any], signature: type[dspy.Signature] | None, where: str) -> dict[str, Any]:
    """`fields` with each value as the signature's annotation has it; fields that it lacks stay as they are.

    Raises:
        SettingsError: a value is not of its type; says which.
    """
    if signature is None:
        return dict(fields)
    return {name: _typed(name, value, signature, where) for name, value in fields.items()}


def _typed(name: str, value: Any, signature: type[dspy.Signature], where: str) -> Any:
    info = signature.fields.get(name)
    if info is None or info.annotation is None or (isinstance(value, str) and info.annotation is str):
        return value
    try:
        return parse_value(value, info.annotation)
    except Exception as error:  # pydantic, or a type's own validators
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SettingsError(f"{where}, field {name!r}: {value!r:.80} is no {info.annotation}: {said}") from error


def to_example(
    one: PulledExample, signature: type[dspy.Signature] | None, *, gold: bool, where: str = "an example"
) -> dspy.Example:
    """A pulled example as DSPy wants it: its inputs, with `gold` its outputs, and what metrics may ask for.

    Feedback, comments and the logged answer stand under keys that begin with `dspy_`, which DSPy puts in no prompt.
    """
    fields = typed(one.inputs, signature, where)
    if gold and one.outputs:
        labels = typed(one.outputs, signature, where)
        fields |= {name: value for name, value in labels.items() if name not in fields}
    answer = typed(one.model_outputs, signature, where) if one.model_outputs else None
    hidden = {FEEDBACK: dict(one.metrics), COMMENTS: tuple(one.comments), ANSWER: answer, ID: one.inference_id}
    example: dspy.Example = dspy.Example({**fields, **hidden}).with_inputs(*one.inputs)
    return example


def to_demo(stage: PulledExample, signature: type[dspy.Signature]) -> dspy.Example | None:
    """A logged call of a predictor as a demo of it; None where fields are missing or are not of its types."""
    if stage.outputs is None:
        return None
    try:
        fields = typed({**stage.inputs, **stage.outputs}, signature, "a demo")
    except SettingsError:
        return None
    if not all(name in fields for name in signature.fields):
        return None
    return dspy.Example({name: fields[name] for name in signature.fields}, augmented=True)


def flat_example(
    fields: Mapping[str, Any], inputs: list[str], signature: type[dspy.Signature] | None, where: str
) -> dspy.Example:
    """A flat object of fields as an example whose inputs are `inputs`.

    Raises:
        SettingsError: an input is missing, or a value is not of its type.
    """
    missing = [name for name in inputs if name not in fields]
    if missing:
        raise SettingsError(f"{where}: lacks the input {missing[0]!r}; it has {', '.join(fields) or 'nothing'}.")
    example: dspy.Example = dspy.Example(typed(fields, signature, where)).with_inputs(*inputs)
    return example
