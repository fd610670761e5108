"""Infer from the source of a function what its expressions and its `return` produce. Nothing is run."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from types import FunctionType
from typing import Any, get_origin

import dspy

from t0dspy.compiler.function_source import DEPTH, ContractOf, FunctionSource, Uncertain
from t0dspy.compiler.inferred import (
    NESTED,
    NOTHING,
    Inferred,
    Record,
    Typed,
    Unknown,
    as_field,
    declared,
    fields_of,
    join,
    output_record,
    type_of_attribute,
    type_of_item,
)
from t0dspy.compiler.made_at_run_time import resolve
from t0dspy.compiler.statements import always_leaves, appended_items, assigned_names, changes, names_in, stored_fields

_RESULTS = {
    **dict.fromkeys(("str", "repr", "ascii", "chr", "format", "input"), str),
    **dict.fromkeys(("len", "int", "ord", "hash", "id"), int),
    **dict.fromkeys(("bool", "all", "any", "isinstance", "hasattr", "callable"), bool),
    "float": float,
}
"""Builtin function -> type of its result."""

_TEXT_METHODS = {
    **dict.fromkeys(("strip", "lstrip", "rstrip", "lower", "upper", "title", "capitalize", "casefold"), str),
    **dict.fromkeys(("replace", "join", "format", "removeprefix", "removesuffix", "zfill", "ljust", "rjust"), str),
    **dict.fromkeys(("split", "rsplit", "splitlines"), list[str]),
    **dict.fromkeys(("startswith", "endswith", "isdigit", "isalpha", "isnumeric", "isupper", "islower"), bool),
    **dict.fromkeys(("count", "find", "index", "rfind"), int),
}
"""Method of str -> type of its result."""


@dataclass
class _Assignments:
    """What `forward` does to one variable."""

    sources: list[Callable[[], Inferred]] = field(default_factory=list)
    fields: list[tuple[str, ast.expr, bool]] = field(default_factory=list)
    """Assignments to a field: its name, the value, and whether every run does it."""
    appended: list[ast.expr] = field(default_factory=list)
    """The values that it appends to a list."""
    changed: str = ""
    """Why other code may have changed the fields; empty if none did."""


class FunctionReader(FunctionSource):
    """Infer values in one function of a program."""

    def __init__(
        self, function: FunctionType, program: dspy.Module, contract_of: ContractOf, depth: int = DEPTH
    ) -> None:
        super().__init__(function, program, contract_of, depth)
        self._active: set[str] = set()

    def returned(self) -> Inferred:
        """Return what the function returns. Raises Uncertain if it is a generator."""
        if any(isinstance(node, ast.Yield | ast.YieldFrom) for node in self.walk()):
            raise Uncertain(f"`{self.function.__name__}` is a generator")
        values = [self.value(node.value) for node in self.walk() if isinstance(node, ast.Return)]
        if not always_leaves(self.tree.body):
            values.append(NOTHING)
        value = join(values)
        if isinstance(value, Unknown) and "return" in self.hints_if_known:
            annotated = declared(self.hints["return"])
            return annotated if not isinstance(annotated, Unknown) else value
        return value

    def is_assigned(self, name: str) -> bool:
        """Return whether the function assigns the variable `name`."""
        return name in self._assigned

    @cached_property
    def _assigned(self) -> dict[str, _Assignments]:
        assigned: dict[str, _Assignments] = {}

        def of(name: str) -> _Assignments:
            return assigned.setdefault(name, _Assignments())

        for node in self.walk():
            for name, source in self._sources(node):
                of(name).sources.append(source)
            for name, item in appended_items(node):
                of(name).appended.append(item)
            for name, stored, value in stored_fields(node):
                of(name).fields.append((stored, value, node in self.tree.body))
            for name, reason in changes(node, self.called_modules(node) if isinstance(node, ast.Call) else []):
                of(name).changed = reason
        return assigned

    def _sources(self, node: ast.AST) -> Iterator[tuple[str, Callable[[], Inferred]]]:
        """Yield the variables that `node` assigns, each with a function that infers its value."""
        if isinstance(node, ast.Assign):
            for target in node.targets:
                yield from self._bound(target, node.value)
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            yield from self._bound(node.target, node.value)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            left, right = ast.Name(node.target.id, ast.Load()), node.value
            yield node.target.id, lambda: self._binop(ast.BinOp(left, node.op, right))
        elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension) and isinstance(node.target, ast.Name):
            yield node.target.id, lambda: self._item(self.value(node.iter))
        else:
            for name in assigned_names(node):
                reason = f"it returns {name!r}, which a statement other than `=` assigns"
                yield name, partial(Unknown, reason)

    def _bound(self, target: ast.expr, value: ast.expr) -> Iterator[tuple[str, Callable[[], Inferred]]]:
        if isinstance(target, ast.Name):
            yield target.id, lambda: self.value(value)
        elif isinstance(target, ast.Tuple | ast.List):
            parts = value.elts if isinstance(value, ast.Tuple | ast.List) else []
            for index, part in enumerate(target.elts):
                source = parts[index] if len(parts) == len(target.elts) else None
                if source is not None:
                    yield from self._bound(part, source)
                else:
                    for name in names_in(part):
                        yield name, lambda: self._item(self.value(value))

    def value(self, node: ast.expr | None) -> Inferred:
        """Return what the expression `node` produces."""
        if node is None:
            return NOTHING
        visit = getattr(self, f"_{type(node).__name__.lower()}", None)
        return visit(node) if visit is not None else Unknown("it returns a value whose fields the code does not show")

    def _constant(self, node: ast.Constant) -> Inferred:
        return Typed(type(node.value))

    def _joinedstr(self, _: ast.JoinedStr) -> Inferred:
        return Typed(str)

    def _await(self, node: ast.Await | ast.NamedExpr | ast.Starred) -> Inferred:
        return self.value(node.value)

    _namedexpr = _starred = _await

    def _name(self, node: ast.Name) -> Inferred:
        return self._variable(node.id)

    def _ifexp(self, node: ast.IfExp) -> Inferred:
        return join([self.value(node.body), self.value(node.orelse)])

    def _boolop(self, node: ast.BoolOp) -> Inferred:
        return join([self.value(option) for option in node.values])

    def _compare(self, _: ast.Compare) -> Inferred:
        return Typed(bool)

    def _unaryop(self, node: ast.UnaryOp) -> Inferred:
        return Typed(bool) if isinstance(node.op, ast.Not) else self.value(node.operand)

    def _tuple(self, node: ast.Tuple) -> Inferred:
        return Typed(_generic(tuple, *(as_field(self.value(item)).annotation for item in node.elts)))

    def _list(self, node: ast.List | ast.Set) -> Inferred:
        return _list_of([self.value(item) for item in node.elts])

    _set = _list

    def _listcomp(self, node: ast.ListComp | ast.SetComp) -> Inferred:
        return _list_of([self.value(node.elt)])

    _setcomp = _listcomp

    def _dictcomp(self, node: ast.DictComp) -> Inferred:
        return Typed(_generic(dict, str, as_field(self.value(node.value)).annotation))

    def _variable(self, name: str) -> Inferred:
        known = self._assigned.get(name)
        if name in self._active:
            return Unknown("")
        given = [self.parameters[name]] if name in self.parameters else []
        if known is None:
            return given[0] if given else self._global(name)
        self._active.add(name)
        try:
            values = [value for value in (source() for source in known.sources) if value != Unknown("")]
            whole = join([*given, *values])
            if known.appended and isinstance(whole, Typed) and get_origin(whole.annotation) is list:
                before = [] if whole.is_empty else [self._item(whole)]
                return _list_of([*before, *(self.value(item) for item in known.appended)])
            return self._changed(whole, known) if isinstance(whole, Record) else whole
        finally:
            self._active.discard(name)

    def _changed(self, record: Record, known: _Assignments) -> Inferred:
        if known.changed:
            return Unknown(known.changed)
        for name, value, always in known.fields:
            record = record.extended(name, as_field(self.value(value)), always=always)
        return record

    def _global(self, name: str) -> Inferred:
        value = self.names.get(name)
        if isinstance(value, str | int | float | bool | list | dict):
            return Typed(type(value))
        return Unknown(f"it returns {name!r}, whose value the code does not show")

    def _attribute(self, node: ast.Attribute) -> Inferred:
        owner = self._fields_of(node.value)
        if isinstance(owner, Record):
            return owner.fields.get(node.attr, Unknown(f"it returns the attribute {node.attr!r} of a prediction"))
        if isinstance(owner, Typed):
            return type_of_attribute(owner.annotation, node.attr) or Unknown(f"it returns the attribute {node.attr!r}")
        value = resolve(node, self.names)
        return Typed(type(value)) if isinstance(value, str | int | float | bool) else owner

    def _fields_of(self, node: ast.expr) -> Inferred:
        """Return a value to read a field of: fields that other code may have changed have unknown types."""
        value = self.value(node)
        known = self._assigned.get(node.id) if isinstance(node, ast.Name) else None
        changed = known is not None and known.changed and isinstance(value, Record)
        return Unknown(known.changed) if known is not None and changed else value

    def _subscript(self, node: ast.Subscript) -> Inferred:
        owner = self._fields_of(node.value)
        key = node.slice.value if isinstance(node.slice, ast.Constant) else None
        if isinstance(owner, Record) and isinstance(key, str):
            return owner.fields.get(key, Unknown(f"it returns the item {key!r} of a prediction"))
        if isinstance(owner, Typed) and isinstance(key, str) and fields_of(owner.annotation):
            return type_of_attribute(owner.annotation, key) or Unknown(f"it returns the item {key!r}")
        if isinstance(owner, Typed) and isinstance(node.slice, ast.Slice):
            return Typed(owner.annotation)
        return self._item(owner)

    def _item(self, value: Inferred) -> Inferred:
        if isinstance(value, Typed) and value.items is not None:
            return value.items
        if isinstance(value, Typed):
            kind = type_of_item(value.annotation)
            unknown = kind in (Any, NESTED)  # an item may be a prediction, whose fields are not followed
            return Unknown("it returns an item of a collection") if unknown else Typed(kind)
        return value if isinstance(value, Unknown) else Unknown("it returns an item of a prediction")

    def _binop(self, node: ast.BinOp) -> Inferred:
        left, right = self.value(node.left), self.value(node.right)
        if isinstance(node.op, ast.Mod) and left == Typed(str):
            return Typed(str)
        if not isinstance(left, Typed) or not isinstance(right, Typed):
            return next((side for side in (left, right) if side == Typed(str)), Unknown("it returns a computed value"))
        numbers = [side for side in (left.annotation, right.annotation) if side in (int, float, bool)]
        if len(numbers) == 2:
            return Typed(float if float in numbers or isinstance(node.op, ast.Div) else int)
        same = left.annotation == right.annotation
        return Typed(left.annotation) if same else Unknown("it returns a computed value")

    def _dict(self, node: ast.Dict) -> Inferred:
        fields: dict[str, Typed] = {}
        for key, item in zip(node.keys, node.values, strict=True):
            value = self.value(item)
            if key is None and isinstance(value, Record):
                fields |= value.fields
            elif isinstance(key, ast.Constant) and isinstance(key.value, str):
                fields[key.value] = as_field(value)
            else:
                return Typed(dict[str, Any])
        return Record(fields, is_dict=True)

    def _call(self, node: ast.Call) -> Inferred:
        modules = self.called_modules(node)
        if modules:
            return join([self._prediction_of(module) for module in modules])
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if isinstance(node.func, ast.Attribute):
            owner = self._fields_of(node.func.value)
            if isinstance(owner, Record) and method == "toDict":
                return replace(owner, is_dict=True)
            if isinstance(owner, Record) and method in ("copy", "get"):
                return owner if method == "copy" else self._got(owner, node)
            if isinstance(owner, Typed) and owner.annotation is str and method in _TEXT_METHODS:
                return Typed(_TEXT_METHODS[method])
        target = resolve(node.func, self.names)
        if isinstance(node.func, ast.Name) and target is None and node.func.id not in self._assigned:
            return self._builtin(node)
        if target is dspy.Prediction or target is dspy.Example:
            return self._record(node)
        return self._result_of(target, node)

    def _got(self, owner: Record, node: ast.Call) -> Inferred:
        key = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
        return owner.fields.get(str(key), Unknown("it returns a field of a prediction"))

    def _prediction_of(self, module: dspy.Module) -> Inferred:
        try:
            return output_record(self.contract_of(module))
        except Uncertain as why:
            return Unknown(f"it returns the result of a {type(module).__name__}, and {why}")

    def _builtin(self, node: ast.Call) -> Inferred:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name == "dict":
            record = self._record(node)
            return replace(record, is_dict=True) if isinstance(record, Record) else Typed(dict[str, Any])
        if name in _RESULTS:
            return Typed(_RESULTS[name])
        if name in ("list", "sorted", "set", "tuple", "reversed") and node.args:
            return _list_of([self._item(self.value(node.args[0]))])
        if name in ("max", "min", "sum", "round", "abs"):
            if name in ("max", "min") and len(node.args) == 1:
                return self._item(self.value(node.args[0]))
            numbers = [self.value(argument) for argument in node.args]
            whole = name == "round" and len(numbers) == 1
            known = [Typed(number.annotation) for number in numbers if isinstance(number, Typed)]
            known = [number for number in known if number.annotation in (int, float)]
            return (
                Typed(int)
                if whole
                else join(known)
                if numbers and len(known) == len(numbers)
                else Unknown("it computes")
            )
        return Unknown(f"it returns the result of {name}()" if name else "it returns the result of a call")

    def _record(self, node: ast.Call) -> Inferred:
        """Return the fields of `dspy.Prediction(...)` or `dict(...)`."""
        record = Record({})
        spread = [*node.args, *(word.value for word in node.keywords if word.arg is None)]
        for part in spread:
            value = self.value(part)
            if not isinstance(value, Record):
                return Unknown("it returns a prediction whose fields come from a value that the code does not show")
            record = Record({**record.fields, **value.fields}, record.optional | value.optional)
        named = {str(word.arg): as_field(self.value(word.value)) for word in node.keywords if word.arg is not None}
        return Record({**record.fields, **named}, record.optional - named.keys())

    def _result_of(self, target: Any, call: ast.Call) -> Inferred:
        if isinstance(target, type):
            return Typed(target) if fields_of(target) else Unknown(f"it returns a {target.__name__}")
        if not isinstance(target, FunctionType) or self.depth == 0:
            return Unknown("it returns the result of a function that the code does not show")
        try:
            reader = FunctionReader(target, self.program, self.contract_of, self.depth - 1)
            given = [self.value(argument) for argument in call.args]
            named = {word.arg: self.value(word.value) for word in call.keywords if word.arg in reader.parameters}
            for name, value in [*zip(reader.parameters, given, strict=False), *named.items()]:
                if name is not None and isinstance(reader.parameters[name], Unknown):
                    reader.parameters[name] = value
            return reader.returned()
        except Uncertain as why:
            return Unknown(f"it returns the result of {target.__name__}(), and {why}")


def _list_of(values: list[Inferred]) -> Typed:
    """Return a list whose items are some of `values`."""
    whole = join(values) if values else Unknown("it returns an item of a list")
    kind = join([as_field(value) for value in values]) if values else Typed(Any)
    items = whole if isinstance(whole, Record) else None
    return Typed(_generic(list, as_field(kind).annotation), items=items, is_empty=not values)


def _generic(kind: Any, *arguments: Any) -> Any:
    """Return `kind[arguments]`."""
    return kind[arguments] if len(arguments) != 1 else kind[arguments[0]]
