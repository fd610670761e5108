"""Find the method that a call of a program runs."""

import inspect
from types import FunctionType

import dspy


def entry_name(program: dspy.Module) -> str | None:
    """Return `forward`, or `aforward` if the class of `program` has only that; None if it has neither."""
    return next((name for name in ("forward", "aforward") if hasattr(type(program), name)), None)


def entry_function(program: dspy.Module) -> FunctionType | None:
    """Return the function that a call of `program` runs, without wrappers; None if it is not written in Python."""
    name = entry_name(program)
    function = inspect.unwrap(getattr(type(program), name)) if name else None
    return function if isinstance(function, FunctionType) else None


def entry_parameters(program: dspy.Module) -> list[inspect.Parameter]:
    """Return the parameters of that function, without `self`; empty if there is none."""
    function = entry_function(program)
    return list(inspect.signature(function).parameters.values())[1:] if function else []
