"""A program's own contract as users write it: `"spec -> review"`, or the import path of a signature class."""

import sys
from typing import Any, cast

import dspy

from t0dspy.errors import ContractError
from t0dspy.program.load import import_attribute


def load_signature(text: str, program: dspy.Module) -> type[dspy.Signature]:
    """The signature that `text` stands for.

    Args:
        text: `"spec: str -> review: Review"`, whose type names are looked up where the program's class is defined, or
            `package.module:Class`.
        program: the program it describes.

    Raises:
        ContractError: it cannot be read.
    """
    if "->" not in text:
        found = import_attribute(text)
        if not (isinstance(found, type) and issubclass(found, dspy.Signature)):
            raise ContractError(f"{text} is not a dspy.Signature class. Or write it out: 'spec -> review'.")
        return found
    try:
        signature: Any = dspy.Signature(text, custom_types=_types_near(program))  # type: ignore[call-arg]
    except Exception as error:  # DSPy raises what ast, pydantic or its own checks raise
        raise ContractError(f"the signature {text!r} cannot be read: {error}") from error
    if not signature.output_fields:
        raise ContractError(f"the signature {text!r} cannot be read: it has no output, such as 'spec -> review'.")
    return cast("type[dspy.Signature]", signature)


def _types_near(program: dspy.Module) -> dict[str, Any]:
    module = sys.modules.get(type(program).__module__)
    return {name: value for name, value in vars(module).items() if isinstance(value, type)} if module else {}
