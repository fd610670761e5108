"""Predictors that come into being while a program runs, found in its source: no export can hold them."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import dspy

_REPLACING = ("signature", "demos")
"""Keywords of a predictor's call that put another prompt in place of the optimized one."""


@dataclass(frozen=True)
class Creation:
    """A line of the program's own code that makes or replaces a predictor at run time."""

    reason: str
    remedy: str


def creations_in(module: dspy.Module) -> Iterator[Creation]:
    """What `forward` of `module`, and what it calls of the user's own code, makes or replaces while it runs.

    Reads source and runs nothing. Code without source (typed into a plain interpreter) is passed over.
    """
    for function in _reachable(module):
        tree = parsed(function)
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)) if tree else ():
            yield from _creation(module, function, call)


def parsed(function: FunctionType) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """The syntax tree of `function`, or None where its source cannot be had."""
    try:
        body = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    except (OSError, TypeError, SyntaxError):
        return None
    return body[0] if body and isinstance(body[0], ast.FunctionDef | ast.AsyncFunctionDef) else None


def resolve(node: ast.expr, names: dict[str, Any]) -> Any:
    """What a chain such as `self.steps[0].plan` stands for, given the values of `names`; None when unclear."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        owner = resolve(node.value, names)
        return inspect.getattr_static(owner, node.attr, None) if owner is not None else None
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        owner = resolve(node.value, names)
        return _item(owner, node.slice.value) if isinstance(owner, list | tuple | dict) else None
    return None


def _item(owner: Any, key: Any) -> Any:
    try:
        return owner[key]
    except (KeyError, IndexError, TypeError):
        return None


def _reachable(module: dspy.Module) -> list[FunctionType]:
    kind = type(module)
    waiting = [getattr(kind, name, None) for name in ("forward", "aforward")]
    seen: list[FunctionType] = []
    while waiting:
        function = waiting.pop()
        if not isinstance(function, FunctionType) or function in seen or _is_foreign(function):
            continue
        seen.append(function)
        tree = parsed(function)
        names = {**function.__globals__, "self": kind}
        if tree:
            waiting += [resolve(node.func, names) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return seen


def _is_foreign(function: FunctionType) -> bool:
    return function.__module__.partition(".")[0] in ("dspy", "builtins", "typing", "json", "re")


def _creation(module: dspy.Module, function: FunctionType, call: ast.Call) -> Iterator[Creation]:
    made = resolve(call.func, {**function.__globals__, "self": module})
    line = f"line {function.__code__.co_firstlineno + call.lineno - 1}"
    if isinstance(made, type) and issubclass(made, dspy.Module):
        reason = f"`{function.__name__}` makes a dspy.{made.__name__} at {line}, which no optimizer or export sees."
        yield Creation(reason, "Make it in `__init__` and keep it on `self`.")
    replaced = [word.arg for word in call.keywords if word.arg in _REPLACING]
    if replaced and isinstance(made, dspy.Predict):
        reason = f"`{function.__name__}` calls a predictor with its own {replaced[0]!r} at {line}."
        yield Creation(reason, "Make a second predictor in `__init__` for the other prompt.")
