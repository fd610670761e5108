"""Convert JSON values to a program's types, and pulled examples to `dspy.Example`s and demos."""

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
"""The key of an example for the inference that it comes from."""


class Types:
    """The types of a program's inputs and outputs; without types, values stay as in JSON."""

    def __init__(self, types: FieldTypes | None = None) -> None:
        self._types = types or FieldTypes()

    @classmethod
    def of(cls, program: dspy.Module, name: str) -> "Types":
        """Return the types of the exported program `name`."""
        return cls(program_types(program, name))

    def inputs(self, values: Mapping[str, Any], location: str) -> dict[str, Any]:
        """Return `values` converted to the types of the inputs.

        Raises:
            SettingsError: a value does not fit its type; the message names the field.
        """
        return _convert(values, self._inputs, location)

    def outputs(self, values: Mapping[str, Any], location: str) -> dict[str, Any]:
        """Return `values` converted to the types of the outputs.

        Raises:
            SettingsError: a value does not fit its type; the message names the field.
        """
        return _convert(values, self._outputs, location)

    @cached_property
    def _inputs(self) -> dict[str, Any]:
        return _adapters(self._types.inputs)

    @cached_property
    def _outputs(self) -> dict[str, Any]:
        return _adapters(self._types.outputs)


def to_example(pulled: PulledExample, types: Types, location: str = "an example") -> dspy.Example:
    """Convert a pulled example to a `dspy.Example` with its inputs, a person's answer if there is one, and feedback.

    The model's own answer is not a label. Feedback, comments and the logged answer have keys that begin with `dspy_`,
    which DSPy puts in no prompt.

    Raises:
        SettingsError: a value does not fit its type.
    """
    fields = types.inputs(pulled.inputs, location)
    if pulled.demonstration and pulled.outputs:
        labels = types.outputs(pulled.outputs, location)
        fields |= {name: value for name, value in labels.items() if name not in fields}
    hidden = {
        FEEDBACK: dict(pulled.metrics),
        COMMENTS: tuple(pulled.comments),
        ANSWER: _answer(pulled, types),
        ID: pulled.inference_id,
    }
    example: dspy.Example = dspy.Example({**fields, **hidden}).with_inputs(*pulled.inputs)
    return example


def to_demo(call: PulledExample, predict: dspy.Predict) -> dspy.Example | None:
    """Convert a logged call of a predictor to a demo for it; None if fields are missing or do not fit their types."""
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


def _answer(pulled: PulledExample, types: Types) -> dict[str, Any] | None:
    """Return the model's answer; None if it does not fit the program's types."""
    try:
        return types.outputs(pulled.model_outputs, "") if pulled.model_outputs else None
    except SettingsError:
        return None


def _adapters(types: Mapping[str, Any]) -> dict[str, Any]:
    """Return the adapters of the types; text needs none, because JSON has the type."""
    return {name: pydantic.TypeAdapter(type_) for name, type_ in types.items() if type_ is not str}


def _convert(values: Mapping[str, Any], adapters: Mapping[str, Any], location: str) -> dict[str, Any]:
    fields = dict(values)
    for name in adapters.keys() & fields.keys():
        try:
            fields[name] = adapters[name].validate_python(fields[name], by_alias=True, by_name=True)
        except pydantic.ValidationError as error:
            why = error.errors()[0]["msg"]
            raise SettingsError(
                f"{location}, field {name!r}: {fields[name]!r:.80} does not fit its type: {why}."
            ) from error
    return fields
