"""Write the output schema of a program that runs in Python: it accepts every answer with which DSPy ends a run."""

import copy
from typing import Any

import dspy

from t0dspy.compiler.schema import has_default, output_schema
from t0dspy.model import Schema


def lenient_output_schema(signature: type[dspy.Signature]) -> Schema:
    """Return the schema of what a program with the contract `signature` returns.

    The bounds of fields (`ge=0`) are left out, because DSPy only writes them into the prompt. A field with a default
    may be absent.

    Raises:
        pydantic.errors.PydanticUserError: if a type has no JSON form.
    """
    fields: dict[str, Any] = {}
    for name, info in signature.output_fields.items():
        fields[name] = info.annotation, copy.copy(info)
        fields[name][1].metadata = []
    schema = output_schema(dspy.make_signature(fields))[0]
    optional = {name for name, info in signature.output_fields.items() if has_default(info)}
    schema["required"] = [name for name in schema["required"] if name not in optional]
    return schema
