"""Write the `--signature` flag that states the contract of a program, as far as the program's code shows it."""

import inspect
import shlex
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import dspy

from t0dspy.compiler.forward import VALUE, Fields, has_json_form
from t0dspy.compiler.introspect import signature_of
from t0dspy.compiler.schema import is_untyped


def signature_flag(program: dspy.Module, inputs: Fields) -> str:
    """Return the flag, such as `--signature 'question: str -> answer'`.

    Args:
        program: the live program.
        inputs: its inputs as far as they are known.
    """
    given = ", ".join(_field(name, info, kind) for name, (kind, info) in inputs.items()) or "question"
    return f"--signature {shlex.quote(f'{given} -> {_guessed_outputs(program, inputs)}')}"


def _guessed_outputs(program: dspy.Module, inputs: Mapping[str, Any]) -> str:
    """Return the outputs of the program's last predictor, because most programs end with it."""
    predictors = program.predictors()
    fields = signature_of(predictors[-1]).output_fields if predictors else {}
    guessed = [
        _field(name, info, info.annotation) for name, info in fields.items() if name not in (*inputs, "reasoning")
    ]
    return ", ".join(guessed) or VALUE


def _field(name: str, info: Any, annotation: Any) -> str:
    text = "" if is_untyped(info) or annotation is Any or not has_json_form(annotation) else type_text(annotation)
    return f"{name}: {text}" if text else name


def type_text(annotation: Any) -> str:
    """Return a type as it is written in a signature; empty if it cannot be written there."""
    if annotation is NoneType or annotation is None:
        return "None"
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, arguments))}]"
    if origin in (Union, UnionType):
        return " | ".join(map(type_text, arguments))
    if origin is not None and inspect.isclass(origin):
        return f"{origin.__name__}[{', '.join('...' if part is ... else type_text(part) for part in arguments)}]"
    return annotation.__name__ if inspect.isclass(annotation) else "Any" if annotation is Any else ""
