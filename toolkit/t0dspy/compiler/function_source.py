"""Parse a function of a program, and find the submodules that it calls."""

import ast
from collections.abc import Callable, Iterator
from functools import cached_property
from types import FunctionType
from typing import Any, get_type_hints

import dspy

from t0dspy.compiler.inferred import Inferred, Typed, Unknown
from t0dspy.compiler.made_at_run_time import parsed, resolve
from t0dspy.compiler.program_signature import ProgramSignature
from t0dspy.compiler.statements import assigned_names

ContractOf = Callable[[dspy.Module], ProgramSignature]


class Uncertain(Exception):  # noqa: N818
    """The contract cannot be read from the program's code; the message gives the reason."""


DEPTH = 4
"""How many calls of the program's own functions are followed."""

_CALLS = ("__call__", "acall", "forward", "aforward")


class FunctionSource:
    """The syntax tree of a function, with the values of its global names and its type hints."""

    def __init__(
        self, function: FunctionType, program: dspy.Module, contract_of: ContractOf, depth: int = DEPTH
    ) -> None:
        """Parse `function`.

        Args:
            function: a method of `program`, or a function that it calls.
            program: the value of `self`.
            contract_of: returns the contract of a submodule, or raises Uncertain.
            depth: how many calls of other functions are followed.

        Raises:
            Uncertain: `function` has no source.
        """
        tree = parsed(function)
        if tree is None:
            raise Uncertain(f"its `{function.__name__}` has no source to read")
        self.tree, self.function, self.program = tree, function, program
        self.contract_of, self.depth = contract_of, depth
        self.names = {**function.__globals__, "self": program}
        self.parameters: dict[str, Inferred] = {
            argument.arg: self._hinted(argument.arg)
            for argument in (*tree.args.posonlyargs, *tree.args.args, *tree.args.kwonlyargs)
            if argument.arg != "self"
        }

    @cached_property
    def hints(self) -> dict[str, Any]:
        """Return the type hints of the function. Raises Uncertain if they cannot be resolved."""
        try:
            return get_type_hints(self.function, include_extras=True)
        except (NameError, TypeError, AttributeError) as error:
            name = self.function.__name__
            raise Uncertain(f"the type hints of `{name}` cannot be resolved ({error})") from None

    @property
    def hints_if_known(self) -> dict[str, Any]:
        """Return the type hints of the function; empty if they cannot be resolved."""
        try:
            return self.hints
        except Uncertain:
            return {}

    def _hinted(self, name: str) -> Inferred:
        hint = self.hints_if_known.get(name)
        return Unknown(f"parameter {name!r} has no type hint") if hint is None else Typed(hint)

    def walk(self) -> Iterator[ast.AST]:
        """Yield the nodes of the function, without those of functions defined inside it."""
        waiting: list[ast.AST] = list(self.tree.body)
        while waiting:
            node = waiting.pop(0)
            yield node
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                waiting += ast.iter_child_nodes(node)

    def called_modules(self, node: ast.expr | None) -> list[dspy.Module]:
        """Return the submodules, one of which the call `node` calls; empty if it calls something else."""
        if not isinstance(node, ast.Call):
            return []
        callee = node.func
        if isinstance(callee, ast.Attribute) and callee.attr in _CALLS:
            callee = callee.value
        modules = self._modules(callee)
        return modules if all(isinstance(module, dspy.Module) for module in modules) else []

    def _modules(self, node: ast.expr) -> list[Any]:
        if isinstance(node, ast.Name) and node.id in self._loops:
            items = resolve(self._loops[node.id], self.names)
            items = list(items.values()) if isinstance(items, dict) else items
            return list(items) if isinstance(items, list | tuple) else []
        if isinstance(node, ast.Name) and (node.id in self.parameters or node.id in self._local_names):
            return []
        module = resolve(node, self.names)
        return [] if module is None else [module]

    @cached_property
    def _loops(self) -> dict[str, ast.expr]:
        """Map the variable of each loop over a sequence to the sequence."""
        loops = [node for node in self.walk() if isinstance(node, ast.For | ast.comprehension)]
        return {node.target.id: node.iter for node in loops if isinstance(node.target, ast.Name)}

    @cached_property
    def _local_names(self) -> set[str]:
        """Return the variables that the function assigns."""
        return {name for node in self.walk() for name in assigned_names(node)}
