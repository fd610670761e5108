"""Find the LMs that a program can choose: those of its predictors, and those that its attributes and its code name."""

import ast
import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import CodeType, FunctionType, ModuleType
from typing import Any

import dspy
from dspy.clients.base_lm import BaseLM

from t0dspy.artifact.lms import ADDRESS_KEYS, LmIdentity, identity_of
from t0dspy.compiler.introspect import modules_of
from t0dspy.compiler.made_at_run_time import parsed, resolve

_OF_A_PREDICTOR = frozenset(("lm", "demos", "traces", "train", "config", "signature", "stage"))
"""Attributes of a dspy.Predict that hold no further LM."""

_FOREIGN = ("dspy", "builtins", "typing")


@dataclass
class ProgramLm:
    """An LM of a program; an LM and its copies with other sampling settings are one."""

    identity: LmIdentity
    live: Any = None
    """The object; None for an LM that the program's code creates while it runs."""
    places: list[str] = field(default_factory=list)
    """Paths of predictors whose LM it is, and names of attributes and variables that hold it."""


def find_lms(program: dspy.Module, own: Iterable[tuple[str, Any]]) -> list[ProgramLm]:
    """Return the LMs that `program` can choose, in a fixed order: those of its functions first.

    This reads attributes and source, and runs nothing.

    Args:
        program: the live program.
        own: path -> the LM of each predictor or kept module that gets a function; None if no LM is set.
    """
    lms: dict[LmIdentity, ProgramLm] = {}
    for place, lm in [*(("", lm) for _, lm in own if lm is not None), *_search(program)]:
        identity = lm if isinstance(lm, LmIdentity) else identity_of(lm)
        known = lms.setdefault(identity, ProgramLm(identity))
        known.live = known.live or (None if isinstance(lm, LmIdentity) else lm)
        if place and place not in known.places:
            known.places.append(place)
    return list(lms.values())


def _search(program: dspy.Module) -> Iterator[tuple[str, Any]]:
    modules = [(location.removeprefix("self."), module) for location, module in modules_of(program)]
    for path, module in modules:
        if isinstance(module, dspy.Predict) and module.lm is not None:
            yield path, module.lm
    search = _Search({type(module).__module__.partition(".")[0] for _, module in modules})
    for path, module in modules:
        yield from search.attributes("" if path == "self" else f"{path}.", module)
    yield from search.attributes("", dspy.settings.adapter)
    for _, module in modules:
        yield from search.code_of(module)


class _Search:
    """One search through the attributes and the code of the user's packages."""

    def __init__(self, packages: set[str]) -> None:
        self.packages = packages
        self.seen: set[int] = set()
        self.functions: list[tuple[FunctionType, Any]] = []
        """Functions that attributes hold, such as tools and reward functions, with the object that holds them."""

    def attributes(self, prefix: str, holder: Any) -> Iterator[tuple[str, Any]]:
        for name, value in list(getattr(holder, "__dict__", {}).items()):
            if not isinstance(holder, dspy.Predict) or name not in _OF_A_PREDICTOR:
                yield from self._values(f"{prefix}{name}", value)

    def _values(self, place: str, value: Any) -> Iterator[tuple[str, Any]]:
        """Yield the LMs that `value` is or holds, with the place of each."""
        waiting = [(place, value)]  # not by recursion, because values may be nested more deeply than calls may be
        while waiting:
            place, value = waiting.pop()
            if isinstance(value, BaseLM):
                yield place, value
            elif isinstance(value, FunctionType | dspy.Tool):
                function = value.func if isinstance(value, dspy.Tool) else value
                self.functions += [(function, None)] if isinstance(function, FunctionType) else []
            elif id(value) not in self.seen and not isinstance(value, str | bytes | int | float | type | dspy.Module):
                self.seen.add(id(value))
                inner = [(f"{place}{step}", item) for step, item in self._inner(value)]
                waiting += reversed(inner)

    def _inner(self, value: Any) -> Iterable[tuple[str, Any]]:
        if isinstance(value, Mapping):
            return [(f"[{key!r}]", item) for key, item in list(value.items())]
        if isinstance(value, list | tuple | set | frozenset):
            return [(f"[{index}]", item) for index, item in enumerate(value)]
        if self._is_ours(type(value).__module__):
            return [(f".{name}", item) for name, item in list(getattr(value, "__dict__", {}).items())]
        return ()

    def code_of(self, module: dspy.Module) -> Iterator[tuple[str, Any]]:
        """Yield the LMs that the methods of `module`, and the functions that its attributes hold, name or create."""
        waiting: list[tuple[Any, Any]] = [*_methods(type(module), module), *self.functions]
        while waiting:
            function, owner = waiting.pop(0)
            if not isinstance(function, FunctionType) or id(function) in self.seen:
                continue
            self.seen.add(id(function))
            if not self._is_ours(function.__module__):
                continue
            yield from _created(function, owner)
            for name, value in _named(function):
                if isinstance(value, FunctionType):
                    waiting.append((value, None))
                elif isinstance(value, type) and self._is_ours(value.__module__):
                    waiting += _methods(value, None)
                else:
                    yield from self._values(name, value)

    def _is_ours(self, module: str | None) -> bool:
        package = (module or "").partition(".")[0]
        return package in self.packages and package not in _FOREIGN


def _methods(kind: type, owner: Any) -> list[tuple[Any, Any]]:
    """Return the functions of a class that a run may call: all but `__init__`, which has run already."""
    functions: list[tuple[Any, Any]] = []
    for base in kind.__mro__:
        for name, value in vars(base).items() if base.__module__.partition(".")[0] not in _FOREIGN else ():
            if name != "__init__":
                plain = value.__func__ if isinstance(value, staticmethod | classmethod) else value
                functions.append((plain.fget if isinstance(plain, property) else plain, owner))
    return functions


def _named(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield the values of global variables, outer variables and defaults that `function` names."""
    names = set(_code_names(function.__code__))
    sources = [function.__globals__]
    sources += [
        vars(value)
        for name in sorted(names)
        for value in (function.__globals__.get(name), sys.modules.get(name))
        if isinstance(value, ModuleType) and not value.__name__.startswith(_FOREIGN)
    ]
    for source in sources:
        yield from ((name, source[name]) for name in sorted(names) if name in source)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        yield name, _contents(cell)
    defaults = inspect.signature(function).parameters.values()
    yield from ((item.name, item.default) for item in defaults if item.default is not item.empty)
    yield function.__name__, getattr(function, "__wrapped__", None)


def _contents(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # the variable has no value yet
        return None


def _code_names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _code_names(constant)


def _created(function: FunctionType, owner: Any) -> Iterator[tuple[str, Any]]:
    """Yield the identities of LMs that `function` creates, if their names and addresses can be read."""
    tree = parsed(function)
    names = {**function.__globals__, "self": owner}
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)) if tree else ():
        if resolve(call.func, names) is dspy.LM:
            options = {word.arg: word.value for word in call.keywords}
            model = call.args[0] if call.args else options.get("model")
            keys: tuple[str, ...] = ("model_type", *ADDRESS_KEYS)
            known: dict[str, Any] = {key: _text(options[key], names) for key in keys if key in options}
            name = _text(model, names)
            if name is not None and None not in known.values():
                yield "", LmIdentity.of(name, known)


def _text(node: ast.expr | None, names: dict[str, Any]) -> str | None:
    value = node.value if isinstance(node, ast.Constant) else resolve(node, names) if node is not None else None
    return value if isinstance(value, str) else None
