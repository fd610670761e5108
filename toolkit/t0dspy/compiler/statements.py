"""Find in a syntax tree what its statements do to variables."""

import ast
from collections.abc import Iterator

import dspy

_HARMLESS = frozenset(
    (
        *("print", "repr", "str", "len", "int", "float", "bool", "list", "dict", "sorted", "max", "min", "vars", "all"),
        *("any", "isinstance", "hasattr", "getattr", "append", "dumps", "debug", "info", "warning", "Prediction"),
    )
)
"""Functions and methods that do not change a prediction that they get."""


def always_leaves(body: list[ast.stmt]) -> bool:
    """Return whether every way through `body` ends in a `return` or an exception."""
    if not body:
        return False
    last = body[-1]
    if isinstance(last, ast.Return | ast.Raise):
        return True
    if isinstance(last, ast.If):
        return always_leaves(last.body) and always_leaves(last.orelse)
    if isinstance(last, ast.With | ast.AsyncWith):
        return always_leaves(last.body)
    if isinstance(last, ast.Try):
        whole = always_leaves(last.body) or always_leaves(last.orelse)
        return always_leaves(last.finalbody) or (whole and all(always_leaves(part.body) for part in last.handlers))
    if isinstance(last, ast.Match):
        return all(always_leaves(case.body) for case in last.cases) and _is_wildcard(last.cases[-1])
    return isinstance(last, ast.While) and isinstance(last.test, ast.Constant) and bool(last.test.value)


def _is_wildcard(case: ast.match_case) -> bool:
    return isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None and case.guard is None


def names_in(target: ast.expr) -> list[str]:
    return [part.id for part in ast.walk(target) if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load)]


def assigned_names(node: ast.AST) -> list[str]:
    """Return the variables that a statement other than `=` and `for` assigns or deletes."""
    if isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
        return [node.name] if node.name else []
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = [*getattr(node, "targets", ()), getattr(node, "target", None), getattr(node, "optional_vars", None)]
    return [name for target in targets if isinstance(target, ast.expr) for name in names_in(target)]


def stored_fields(node: ast.AST) -> Iterator[tuple[str, str, ast.expr]]:
    """Yield (variable, field, value) for assignments such as `result.score = 1` and `result["score"] = 1`."""
    for target in node.targets if isinstance(node, ast.Assign) else ():
        owner = getattr(target, "value", None)
        if isinstance(owner, ast.Name) and isinstance(node, ast.Assign):
            if isinstance(target, ast.Attribute):
                yield owner.id, target.attr, node.value
            elif isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
                yield owner.id, str(target.slice.value), node.value


def appended_items(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Yield (variable, item) for a call such as `results.append(result)`."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or len(node.args) != 1:
        return
    if node.func.attr == "append" and isinstance(node.func.value, ast.Name):
        yield node.func.value.id, node.args[0]


def changes(node: ast.AST, modules: list[dspy.Module]) -> Iterator[tuple[str, str]]:
    """Yield the variables whose fields `node` may change in a way that is not followed, and the reason."""
    for target in node.targets if isinstance(node, ast.Delete) else ():
        owner = getattr(target, "value", None)
        if isinstance(owner, ast.Name):
            yield owner.id, f"a field of {owner.id!r} is deleted"
    for target in node.targets if isinstance(node, ast.Assign) else ():
        is_item = isinstance(target, ast.Subscript) and not isinstance(target.slice, ast.Constant)
        if is_item and isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
            yield target.value.id, f"a computed field of {target.value.id!r} is assigned"
    if not isinstance(node, ast.Call) or modules:
        return
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in _HARMLESS:
        return
    for argument in [*node.args, *(word.value for word in node.keywords if word.arg is not None)]:
        if isinstance(argument, ast.Name):
            yield argument.id, f"`{name}` gets {argument.id!r} and may change its fields"
