"""Read the Python types of a program's inputs and outputs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_type_hints

import dspy

from t0dspy.compiler.contract import program_contract
from t0dspy.compiler.entry import entry_function
from t0dspy.compiler.schema import is_untyped
from t0dspy.errors import T0dspyError
from t0dspy.program.signatures import load_signature
from t0dspy.settings import load_settings


@dataclass(frozen=True)
class FieldTypes:
    """Field -> type; a field without a type is absent."""

    inputs: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)


def program_types(program: dspy.Module, name: str) -> FieldTypes:
    """Return the types of the program `name` from its settings, its code, or its type hints; empty if unknown."""
    configured = load_settings().programs.get(name)
    try:
        given = load_signature(configured.signature, program) if configured and configured.signature else None
        contract = program_contract(program, given)
    except T0dspyError:
        return FieldTypes(_hints(program))
    return FieldTypes(_field_types(contract.input_fields), _field_types(contract.output_fields))


def signature_types(signature: type[dspy.Signature]) -> FieldTypes:
    """Return the types of a signature's fields."""
    return FieldTypes(_field_types(signature.input_fields), _field_types(signature.output_fields))


def _field_types(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: info.annotation for name, info in fields.items() if not is_untyped(info)}


def _hints(program: dspy.Module) -> dict[str, Any]:
    try:
        hints = get_type_hints(entry_function(program), include_extras=True)
    except (NameError, TypeError):
        return {}
    return {name: hint for name, hint in hints.items() if name != "return"}
