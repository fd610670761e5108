"""A program's `forward`, read for what it takes and what it returns."""

import ast
import copy
import inspect
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType
from typing import Any, get_type_hints

import dspy
from pydantic.fields import FieldInfo

from t0dspy.compiler.made_at_run_time import parsed, resolve

ContractOf = Callable[[dspy.Module], type[dspy.Signature]]

Fields = dict[str, tuple[Any, FieldInfo]]
"""Name -> (type, field), as `dspy.make_signature` takes them."""


class Uncertain(Exception):  # noqa: N818
    """The contract cannot be read from the program's code; the message says what stands in the way."""


class ForwardReader:
    """Reads inputs and outputs from the source of one `forward`."""

    def __init__(self, program: dspy.Module, contract_of: ContractOf) -> None:
        """Reads `forward` of `program`; `contract_of` says what a submodule takes and returns.

        Raises:
            Uncertain: there is no source to read, or a call may do something else.
        """
        self.program, self.contract_of = program, contract_of
        self.forward = getattr(type(program), "forward", None)
        tree = parsed(self.forward) if isinstance(self.forward, FunctionType) else None
        if not isinstance(self.forward, FunctionType) or tree is None:
            raise Uncertain("its `forward` has no source to read")
        if type(program).__call__ is not dspy.Module.__call__:
            raise Uncertain("its class has a `__call__` of its own")
        self.tree = tree
        self.names = {**self.forward.__globals__, "self": program}
        self.assigned = self._assignments()
        handed = {name for node in self._walk() for name in _handed_on(node)}
        once = {name: one[0] for name, one in self.assigned.items() if len(one) == 1 and name not in handed}
        self.results = {name: module for name, module in once.items() if module is not None}

    def contract(self) -> type[dspy.Signature]:
        """What `forward` takes and returns. Raises Uncertain."""
        inputs, outputs = self._inputs(), self._outputs()
        clash = sorted(inputs.keys() & outputs.keys())
        if clash:
            raise Uncertain(f"{clash[0]!r} is an input and an output")
        fields = copy.deepcopy({**inputs, **outputs})
        return dspy.make_signature(fields, signature_name=type(self.program).__name__)

    def _walk(self) -> Iterator[ast.AST]:
        """The nodes of `forward`, without those of functions defined inside it."""
        waiting: list[ast.AST] = list(self.tree.body)
        while waiting:
            node = waiting.pop(0)
            yield node
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                waiting += ast.iter_child_nodes(node)

    def _assignments(self) -> dict[str, list[dspy.Module | None]]:
        """Each assigned variable, with the submodule whose call each assignment takes, or None."""
        assigned: dict[str, list[dspy.Module | None]] = {}
        for node in self._walk():
            for target in _changed_by(node):
                for name in (one.id for one in ast.walk(target) if isinstance(one, ast.Name)):
                    whole = isinstance(node, ast.Assign) and isinstance(target, ast.Name)
                    value = self._called(node.value) if isinstance(node, ast.Assign) and whole else None
                    assigned.setdefault(name, []).append(value)
        return assigned

    def _called(self, node: ast.expr | None) -> dspy.Module | None:
        module = resolve(node.func, {"self": self.program}) if isinstance(node, ast.Call) else None
        return module if isinstance(module, dspy.Module) else None

    def _inputs(self) -> Fields:
        parameters = list(inspect.signature(self.forward).parameters.values())[1:]  # type: ignore[arg-type]
        hints = self._hints()
        fields: Fields = {}
        for one in parameters:
            if one.kind not in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY):
                raise Uncertain(f"`forward` takes {'**' if one.kind is one.VAR_KEYWORD else '*'}{one.name}")
            field = dspy.InputField() if one.default is one.empty else dspy.InputField(default=one.default)
            if one.name in hints:
                fields[one.name] = (hints[one.name], field)
            else:
                fields[one.name] = self._type_by_use(one.name, field)
        return fields

    def _hints(self) -> dict[str, Any]:
        try:
            return get_type_hints(self.forward, include_extras=True)
        except (NameError, TypeError) as error:
            raise Uncertain(f"the type hints of `forward` cannot be resolved ({error})") from None

    def _type_by_use(self, name: str, field: FieldInfo) -> tuple[Any, FieldInfo]:
        """The type of a parameter without a hint: that of the predictor inputs it is handed to unchanged."""
        uses = list(self._uses(name))
        if not uses or name in self.assigned or any(info.annotation != uses[0].annotation for info in uses):
            raise Uncertain(f"parameter {name!r} has no type hint, and no one predictor input that it is handed to")
        like = copy.copy(uses[0])
        like.default = field.default
        return like.annotation, like

    def _uses(self, name: str) -> Iterator[FieldInfo]:
        for node in self._walk():
            module = self._called(node) if isinstance(node, ast.Call) else None
            for word in node.keywords if isinstance(node, ast.Call) and module is not None else ():
                if isinstance(word.value, ast.Name) and word.value.id == name and module is not None:
                    info = self.contract_of(module).input_fields.get(word.arg or "")
                    if info is not None:
                        yield info

    def _outputs(self) -> Fields:
        if any(isinstance(node, ast.Yield | ast.YieldFrom) for node in self._walk()):
            raise Uncertain("`forward` is a generator")
        returns = [node for node in self._walk() if isinstance(node, ast.Return)]
        if not returns or not isinstance(self.tree.body[-1], ast.Return):
            raise Uncertain("`forward` may end without a `return`")
        found = [self._returned(node.value) for node in returns]
        if any(_types(one) != _types(found[0]) for one in found):
            raise Uncertain("`forward` returns different fields in different places")
        return found[0]

    def _returned(self, node: ast.expr | None) -> Fields:
        module = self.results.get(node.id) if isinstance(node, ast.Name) else self._called(node)
        if module is not None:
            return {name: (info.annotation, info) for name, info in self.contract_of(module).output_fields.items()}
        if isinstance(node, ast.Call) and resolve(node.func, self.names) is dspy.Prediction and not node.args:
            return {str(word.arg): self._output(word) for word in node.keywords}
        raise Uncertain("`forward` returns something else than a predictor's result or a dspy.Prediction(...)")

    def _output(self, word: ast.keyword) -> tuple[Any, FieldInfo]:
        source = word.value
        if word.arg and isinstance(source, ast.Attribute) and isinstance(source.value, ast.Name):
            module = self.results.get(source.value.id)
            info = self.contract_of(module).output_fields.get(source.attr) if module is not None else None
            if info is not None:
                return info.annotation, info
        raise Uncertain(f"the type of the output {word.arg!r} is not that of one predictor's output")


_HARMLESS = {"print", "repr", "str", "len", "bool"}


def _handed_on(node: ast.AST) -> list[str]:
    """The variables that `node` hands to a call, which may change them in place."""
    if not isinstance(node, ast.Call) or (isinstance(node.func, ast.Name) and node.func.id in _HARMLESS):
        return []
    given = [*node.args, *(word.value for word in node.keywords)]
    return [one.id for one in given if isinstance(one, ast.Name)]


def _changed_by(node: ast.AST) -> list[ast.expr]:
    """What `node` assigns or deletes, or a part of it."""
    if isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
        return [ast.Name(node.name)] if node.name else []
    targets = [*getattr(node, "targets", ()), getattr(node, "target", None), getattr(node, "optional_vars", None)]
    return [one for one in targets if one is not None]


def _types(fields: Mapping[str, tuple[Any, FieldInfo]]) -> dict[str, Any]:
    return {name: annotation for name, (annotation, _) in fields.items()}
