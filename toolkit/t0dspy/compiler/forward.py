"""Read the inputs and outputs of a program from the source of its `forward`."""

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
    """The contract cannot be read from the program's code; the message gives the reason."""


class ForwardReader:
    """Read inputs and outputs from the source of a `forward` method."""

    def __init__(self, program: dspy.Module, contract_of: ContractOf) -> None:
        """Parse `forward` of `program`; `contract_of` returns the contract of a submodule.

        Raises:
            Uncertain: if `forward` has no source, or a call may do something other than `forward`.
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
        passed = {name for node in self._walk() for name in _passed_variables(node)}
        once = {name: sources[0] for name, sources in self.assigned.items() if len(sources) == 1 and name not in passed}
        self.results = {name: module for name, module in once.items() if module is not None}

    def contract(self) -> type[dspy.Signature]:
        """Return the inputs and outputs of `forward` as a signature. Raises Uncertain."""
        inputs, outputs = self._inputs(), self._outputs()
        clash = sorted(inputs.keys() & outputs.keys())
        if clash:
            raise Uncertain(f"{clash[0]!r} is an input and an output")
        fields = copy.deepcopy({**inputs, **outputs})
        return dspy.make_signature(fields, signature_name=type(self.program).__name__)

    def _walk(self) -> Iterator[ast.AST]:
        """Yield the nodes of `forward`, without those of functions defined inside it."""
        waiting: list[ast.AST] = list(self.tree.body)
        while waiting:
            node = waiting.pop(0)
            yield node
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                waiting += ast.iter_child_nodes(node)

    def _assignments(self) -> dict[str, list[dspy.Module | None]]:
        """Map each assigned variable to the submodules whose result it takes, None for another value."""
        assigned: dict[str, list[dspy.Module | None]] = {}
        for node in self._walk():
            for target in _assigned_targets(node):
                for name in (part.id for part in ast.walk(target) if isinstance(part, ast.Name)):
                    whole = isinstance(node, ast.Assign) and isinstance(target, ast.Name)
                    value = self._called_module(node.value) if isinstance(node, ast.Assign) and whole else None
                    assigned.setdefault(name, []).append(value)
        return assigned

    def _called_module(self, node: ast.expr | None) -> dspy.Module | None:
        module = resolve(node.func, {"self": self.program}) if isinstance(node, ast.Call) else None
        return module if isinstance(module, dspy.Module) else None

    def _inputs(self) -> Fields:
        parameters = list(inspect.signature(self.forward).parameters.values())[1:]  # type: ignore[arg-type]
        hints = self._hints()
        fields: Fields = {}
        for parameter in parameters:
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise Uncertain(
                    f"`forward` takes {'**' if parameter.kind is parameter.VAR_KEYWORD else '*'}{parameter.name}"
                )
            field = (
                dspy.InputField()
                if parameter.default is parameter.empty
                else dspy.InputField(default=parameter.default)
            )
            if parameter.name in hints:
                fields[parameter.name] = (hints[parameter.name], field)
            else:
                fields[parameter.name] = self._type_by_use(parameter.name, field)
        return fields

    def _hints(self) -> dict[str, Any]:
        try:
            return get_type_hints(self.forward, include_extras=True)
        except (NameError, TypeError) as error:
            raise Uncertain(f"the type hints of `forward` cannot be resolved ({error})") from None

    def _type_by_use(self, name: str, field: FieldInfo) -> tuple[Any, FieldInfo]:
        """Return the type of a parameter without a hint: that of the predictor inputs that receive it unchanged."""
        uses = list(self._uses(name))
        if not uses or name in self.assigned or any(info.annotation != uses[0].annotation for info in uses):
            raise Uncertain(f"parameter {name!r} has no type hint, and no predictor input receives it unchanged")
        like = copy.copy(uses[0])
        like.default = field.default
        return like.annotation, like

    def _uses(self, name: str) -> Iterator[FieldInfo]:
        for node in self._walk():
            module = self._called_module(node) if isinstance(node, ast.Call) else None
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
        fields = [self._returned_fields(node.value) for node in returns]
        if any(_types(variant) != _types(fields[0]) for variant in fields):
            raise Uncertain("`forward` returns different fields in different places")
        return fields[0]

    def _returned_fields(self, node: ast.expr | None) -> Fields:
        module = self.results.get(node.id) if isinstance(node, ast.Name) else self._called_module(node)
        if module is not None:
            return {name: (info.annotation, info) for name, info in self.contract_of(module).output_fields.items()}
        if isinstance(node, ast.Call) and resolve(node.func, self.names) is dspy.Prediction and not node.args:
            return {str(word.arg): self._output(word) for word in node.keywords}
        raise Uncertain("`forward` returns something other than a predictor's result or a dspy.Prediction(...)")

    def _output(self, word: ast.keyword) -> tuple[Any, FieldInfo]:
        source = word.value
        if word.arg and isinstance(source, ast.Attribute) and isinstance(source.value, ast.Name):
            module = self.results.get(source.value.id)
            info = self.contract_of(module).output_fields.get(source.attr) if module is not None else None
            if info is not None:
                return info.annotation, info
        raise Uncertain(f"the type of the output {word.arg!r} is not that of one predictor's output")


_HARMLESS = {"print", "repr", "str", "len", "bool"}


def _passed_variables(node: ast.AST) -> list[str]:
    """Return the variables that `node` passes to a call, because the call may change them in place."""
    if not isinstance(node, ast.Call) or (isinstance(node.func, ast.Name) and node.func.id in _HARMLESS):
        return []
    given = [*node.args, *(word.value for word in node.keywords)]
    return [argument.id for argument in given if isinstance(argument, ast.Name)]


def _assigned_targets(node: ast.AST) -> list[ast.expr]:
    """Return the targets that `node` assigns or deletes."""
    if isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
        return [ast.Name(node.name)] if node.name else []
    targets = [*getattr(node, "targets", ()), getattr(node, "target", None), getattr(node, "optional_vars", None)]
    return [target for target in targets if target is not None]


def _types(fields: Mapping[str, tuple[Any, FieldInfo]]) -> dict[str, Any]:
    return {name: annotation for name, (annotation, _) in fields.items()}
