"""Find predictors that a program creates while it runs, because an export cannot contain them."""

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import dspy

_REPLACING = ("signature", "demos")
"""Keywords of a predictor's call that replace the optimized prompt."""

_CALLS = ("__call__", "acall", "forward", "aforward")
"""Methods that call the module itself."""


@dataclass(frozen=True)
class Creation:
    """A line of the user's code that creates or replaces a predictor at run time."""

    reason: str
    remedy: str
    predictor: dspy.Predict | None = None
    """The predictor of the program whose prompt the line replaces."""


def creations_in(module: dspy.Module) -> Iterator[Creation]:
    """Yield the predictors that `forward` of `module`, and the user's code that it calls, creates or replaces.

    This reads source and runs nothing. Code without source (typed into a plain interpreter) is skipped.
    """
    for function in _reachable(module):
        tree = parsed(function)
        names = _names_in(function, tree, module) if tree else {}
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)) if tree else ():
            yield from _creation(names, function, call)


def parsed(function: FunctionType) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """Return the syntax tree of `function`, or None if its source is not available."""
    try:
        body = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    except (OSError, TypeError, SyntaxError):
        return None
    return body[0] if body and isinstance(body[0], ast.FunctionDef | ast.AsyncFunctionDef) else None


def resolve(node: ast.expr, names: dict[str, Any]) -> Any:
    """Return the value of a chain such as `self.steps[0].plan`, given the values of `names`; None if unknown."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        owner = resolve(node.value, names)
        value = inspect.getattr_static(owner, node.attr, None) if owner is not None else None
        return value.__func__ if isinstance(value, staticmethod | classmethod) else value
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
        if not isinstance(function, FunctionType) or function in seen or _is_foreign(function, kind):
            continue
        seen.append(function)
        tree = parsed(function)
        if tree:
            names = _names_in(function, tree, module)
            for node in ast.walk(tree):
                waiting += _called_functions(node, names, kind)
    return seen


def _called_functions(node: ast.AST, names: dict[str, Any], kind: type) -> list[Any]:
    """Return the functions that `node` may run: those that it calls, also through `super()`, and properties."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Call):
        is_super = isinstance(node.value.func, ast.Name) and node.value.func.id == "super"
        return [vars(base).get(node.attr) for base in kind.__mro__] if is_super else []
    if isinstance(node, ast.Attribute):
        value = resolve(node, names)
        return [value.fget] if isinstance(value, property) else []
    return [resolve(node.func, names)] if isinstance(node, ast.Call) else []


def _names_in(
    function: FunctionType, tree: ast.FunctionDef | ast.AsyncFunctionDef, owner: dspy.Module
) -> dict[str, Any]:
    """Return the known values of names inside `function`, which a call of `owner` runs, from its source."""
    names = {**function.__globals__, **dict.fromkeys(_local_names(tree)), **_bound(function, tree, owner)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            source = vars(sys.modules.get(node.module or "", object))
            names |= {alias.asname or alias.name: source.get(alias.name) for alias in node.names}
        elif isinstance(node, ast.For | ast.comprehension) and isinstance(node.target, ast.Name):
            names[node.target.id] = _first(resolve(node.iter, names))
    return names


def _local_names(tree: ast.AST) -> Iterator[str]:
    """Yield the parameters and the assigned variables of a function and of the functions inside it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def _bound(function: FunctionType, tree: ast.FunctionDef | ast.AsyncFunctionDef, owner: dspy.Module) -> dict[str, Any]:
    """Return the first parameter of a method of `owner` with its value: the module, or its class in a classmethod."""
    first = next(iter([*tree.args.posonlyargs, *tree.args.args]), None)
    for value in (value for base in type(owner).__mro__ for value in vars(base).values()) if first else ():
        if isinstance(value, classmethod) and value.__func__ is function:
            return {first.arg: type(owner)} if first else {}
        if first and function in (value, getattr(value, "fget", None)):
            return {first.arg: owner}
    return {}


def _first(items: Any) -> Any:
    return items[0] if isinstance(items, list | tuple) and items else None


def _is_foreign(function: FunctionType, kind: type) -> bool:
    """Return whether `function` is part of DSPy, of Python or of an installed package other than the program's own."""
    package = function.__module__.partition(".")[0]
    if package == kind.__module__.partition(".")[0]:
        return package == "dspy"
    file = function.__code__.co_filename
    return package == "dspy" or package in sys.stdlib_module_names or "site-packages" in file or "dist-packages" in file


def _creation(names: dict[str, Any], function: FunctionType, call: ast.Call) -> Iterator[Creation]:
    made = resolve(call.func, names)
    line = f"line {function.__code__.co_firstlineno + call.lineno - 1}"
    if isinstance(made, type) and issubclass(made, dspy.Module) and made is not dspy.BestOfN:
        # BestOfN makes no predictor, and its copies of a deployed module stay deployed.
        label = f"dspy.{made.__name__}" if made.__module__.startswith("dspy.") else made.__name__
        reason = f"`{function.__name__}` creates a {label} at {line}, so optimizers and exports do not include it."
        yield Creation(reason, "Create it in `__init__` and keep it on `self`.")
    if isinstance(call.func, ast.Attribute) and call.func.attr in _CALLS:
        made = resolve(call.func.value, names)
    if not isinstance(made, dspy.Predict | dspy.ChainOfThought):
        return
    predict = made if isinstance(made, dspy.Predict) else made.predict
    replaced = [word.arg for word in call.keywords if word.arg in _REPLACING and not _is_own(word, predict, names)]
    if replaced:
        reason = f"`{function.__name__}` calls a predictor with its own {replaced[0]!r} at {line}."
        yield Creation(reason, "Create a second predictor in `__init__` for the other prompt.", predict)


def _is_own(word: ast.keyword, predict: dspy.Predict, names: dict[str, Any]) -> bool:
    """Return whether the keyword of a call of `predict` has the signature or the demos that the predictor has."""
    own = getattr(predict, word.arg or "")
    if isinstance(word.value, ast.List) and not word.value.elts:
        return bool(own == [])
    return resolve(word.value, names) is own
