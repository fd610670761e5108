"""Load a program's contract as users write it: `"spec -> review"`, or the import path of a signature class."""

import ast
import sys
from typing import Any, cast

import dspy
from dspy.utils.constants import IS_TYPE_UNDEFINED

from t0dspy.errors import ContractError
from t0dspy.program.load import import_attribute


def load_signature(text: str, program: dspy.Module) -> type[dspy.Signature]:
    """Return the signature that `text` describes.

    Args:
        text: `"spec: str -> review: Review"`, whose type names are looked up where the program's class is defined, or
            `package.module:Class`.
        program: the program whose contract it is.

    Raises:
        ContractError: if it cannot be parsed.
    """
    if "->" not in text:
        imported = import_attribute(text)
        if not (isinstance(imported, type) and issubclass(imported, dspy.Signature)):
            raise ContractError(f"{text} is not a dspy.Signature class. You can also write it out: 'spec -> review'.")
        return imported
    try:
        signature: Any = dspy.Signature(text, custom_types=_types_near(program))  # type: ignore[call-arg]
    except Exception as error:  # errors of ast, pydantic and DSPy
        raise ContractError(f"the signature {text!r} cannot be read: {error}") from error
    if not signature.output_fields:
        raise ContractError(f"the signature {text!r} cannot be read: it has no output, such as 'spec -> review'.")
    _mark_untyped(signature, text.partition("->")[2])
    return cast("type[dspy.Signature]", signature)


def _mark_untyped(signature: Any, outputs: str) -> None:
    """Mark the outputs without a type as DSPy marks such inputs, because their types come from the program's code."""
    function = cast("ast.FunctionDef", ast.parse(f"def f({outputs}): pass").body[0])
    for argument in function.args.args:
        extra = signature.output_fields[argument.arg].json_schema_extra
        extra[IS_TYPE_UNDEFINED] = argument.annotation is None


def _types_near(program: dspy.Module) -> dict[str, Any]:
    module = sys.modules.get(type(program).__module__)
    return {name: value for name, value in vars(module).items() if isinstance(value, type)} if module else {}
