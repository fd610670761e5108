"""JSON values as a program's own types want them, and pulled examples as `dspy.Example`s with no field too many."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import dspy
import pydantic

from t0dspy.compiler.introspect import signature_of
from t0dspy.errors import SettingsError
from t0dspy.flywheel.example import PulledExample
from t0dspy.flywheel.metrics import ANSWER, COMMENTS, FEEDBACK
from t0dspy.program.types import FieldTypes, program_types, signature_types

ID = "dspy_inference_id"
"""Where an example keeps the inference it comes from."""


class Types:
    """The types of a program's inputs and outputs; without them values stay as JSON has them."""

    def __init__(self, types: FieldTypes | None = None) -> None:
        self._types = types or FieldTypes()

    @classmethod
    def of(cls, program: dspy.Module, name: str) -> "Types":
        """The types of the exported program `name`."""
        return cls(program_types(program, name))

    def inputs(self, values: Mapping[str, Any], where: str) -> dict[str, Any]:
        """`values`, typed.

        Raises:
            SettingsError: one is not of its type; says which.
        """
        return _typed(values, self._inputs, where)

    def outputs(self, values: Mapping[str, Any], where: str) -> dict[str, Any]:
        """`values`, typed.

        Raises:
            SettingsError: one is not of its type; says which.
        """
        return _typed(values, self._outputs, where)

    @cached_property
    def _inputs(self) -> dict[str, Any]:
        return _adapters(self._types.inputs)

    @cached_property
    def _outputs(self) -> dict[str, Any]:
        return _adapters(self._types.outputs)


def to_example(one: PulledExample, types: Types, where: str = "an example") -> dspy.Example:
    """A pulled example as DSPy wants it: its inputs, a person's answer where there is one, and what metrics may ask.

    What a model answered is no label. Feedback, comments and the logged answer stand under keys that begin with
    `dspy_`, which DSPy puts in no prompt.

    Raises:
        SettingsError: a value is not of its type.
    """
    fields = types.inputs(one.inputs, where)
    if one.demonstration and one.outputs:
        labels = types.outputs(one.outputs, where)
        fields |= {name: value for name, value in labels.items() if name not in fields}
    hidden = {
        FEEDBACK: dict(one.metrics),
        COMMENTS: tuple(one.comments),
        ANSWER: _answer(one, types),
        ID: one.inference_id,
    }
    example: dspy.Example = dspy.Example({**fields, **hidden}).with_inputs(*one.inputs)
    return example


def to_demo(call: PulledExample, predict: dspy.Predict) -> dspy.Example | None:
    """A logged call of a predictor as a demo of it; None where fields are missing or are not of its types."""
    if call.outputs is None:
        return None
    signature = signature_of(predict)
    types = Types(signature_types(signature))
    try:
        fields = types.inputs(call.inputs, "") | types.outputs(call.outputs, "")
    except SettingsError:
        return None
    if any(name not in fields for name in signature.fields):
        return None
    return dspy.Example({name: fields[name] for name in signature.fields}, augmented=True)


def _answer(one: PulledExample, types: Types) -> dict[str, Any] | None:
    """What the model answered; None where that is not of the program's types."""
    try:
        return types.outputs(one.model_outputs, "") if one.model_outputs else None
    except SettingsError:
        return None


def _adapters(types: Mapping[str, Any]) -> dict[str, Any]:
    """Nothing for texts, which JSON types well enough."""
    return {name: pydantic.TypeAdapter(one) for name, one in types.items() if one is not str}


def _typed(values: Mapping[str, Any], adapters: Mapping[str, Any], where: str) -> dict[str, Any]:
    fields = dict(values)
    for name in adapters.keys() & fields.keys():
        try:
            fields[name] = adapters[name].validate_python(fields[name], by_alias=True, by_name=True)
        except pydantic.ValidationError as error:
            why = error.errors()[0]["msg"]
            raise SettingsError(
                f"{where}, field {name!r}: {fields[name]!r:.80} does not fit its type: {why}."
            ) from error
    return fields
