"""The contract of a whole program, whose outputs may repeat the names of inputs."""

from collections.abc import Mapping
from dataclasses import dataclass

import dspy
from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class ProgramSignature:
    """The inputs and outputs of a program: the same signature twice, unless a field is an input and an output.

    A `dspy.Signature` cannot have a field twice, but programs return inputs that they were given.
    """

    inputs: type[dspy.Signature]
    outputs: type[dspy.Signature]

    @classmethod
    def of(cls, signature: type[dspy.Signature]) -> "ProgramSignature":
        """Return the contract that `signature` states."""
        return cls(signature, signature)

    @property
    def input_fields(self) -> Mapping[str, FieldInfo]:
        """Return the input fields by name."""
        return self.inputs.input_fields

    @property
    def output_fields(self) -> Mapping[str, FieldInfo]:
        """Return the output fields by name."""
        return self.outputs.output_fields
