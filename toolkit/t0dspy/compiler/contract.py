"""What a whole program promises its callers: inputs and outputs, read where that is certain, never guessed."""

import ast
import copy
import inspect
from collections.abc import Iterator, Mapping
from types import FunctionType
from typing import Any, cast, get_type_hints

import dspy
from dspy.teleprompt.ensemble import Ensemble as _Ensemble
from pydantic.fields import FieldInfo

from t0dspy.compiler.creations import parsed, resolve
from t0dspy.compiler.introspect import signature_of
from t0dspy.errors import ContractError

Fields = dict[str, tuple[Any, FieldInfo]]
"""Name -> (type, field), as `dspy.make_signature` takes them."""


class Uncertain(Exception):  # noqa: N818
    """The contract cannot be read from the program's code; the message says what stands in the way."""


def program_contract(program: dspy.Module, given: type[dspy.Signature] | None) -> type[dspy.Signature]:
    """The contract of `program` as a signature: the one `given`, else what its `forward` says for certain.

    Raises:
        ContractError: nothing was given and `forward` leaves it open, or what was given does not fit `forward`.
    """
    if given is not None:
        _check_given(program, given)
        return given
    try:
        return read_contract(program)
    except Uncertain as why:
        raise ContractError(
            f"what {type(program).__name__} takes and returns cannot be read from its code with certainty: {why}. "
            "Say it with --signature 'spec -> review' (or `signature` in the program's settings), "
            "or export its predictors alone with --stages-only."
        ) from None


def is_only_its_predictor(program: dspy.Module) -> bool:
    """Whether calling `program` is the same as calling its one predictor, with no Python of the user's between."""
    if type(program) in (dspy.Predict, dspy.ChainOfThought):
        return True
    inner = _passed_on_to(program)
    return inner is not None and is_only_its_predictor(inner)


def read_contract(program: dspy.Module) -> type[dspy.Signature]:
    """The contract of `program`, from DSPy's own modules or from the source of `forward`.

    Raises:
        Uncertain: it cannot be read.
    """
    if isinstance(program, dspy.Predict):
        return signature_of(program)
    if type(program) is dspy.ChainOfThought:
        return signature_of(program.predict)
    if type(program) is dspy.ReAct:
        return cast("type[dspy.Signature]", program.signature)
    if type(program) is dspy.BestOfN:
        return read_contract(program.module)
    if type(program).__module__ == _Ensemble.__module__:
        return _ensemble_contract(program)
    if type(program).__module__.startswith("dspy."):
        raise Uncertain(f"dspy.{type(program).__name__} takes more than the fields of a signature")
    inner = _passed_on_to(program)
    if inner is not None and is_only_its_predictor(inner):
        return read_contract(inner)
    return _ForwardReader(program).contract()


def _check_given(program: dspy.Module, given: type[dspy.Signature]) -> None:
    forward = getattr(type(program), "forward", None)
    if forward is None or type(program).__module__.startswith("dspy."):
        return
    parameters = list(inspect.signature(forward).parameters.values())[1:]
    names = {one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}
    needed = {one.name for one in parameters if one.name in names and one.default is one.empty}
    open_ended = any(one.kind is one.VAR_KEYWORD for one in parameters)
    missing, unknown = sorted(needed - set(given.input_fields)), sorted(set(given.input_fields) - names)
    if missing:
        raise ContractError(f"the signature lacks the input {missing[0]!r}, which {_forward_of(program)} needs.")
    if unknown and not open_ended:
        raise ContractError(f"the signature has the input {unknown[0]!r}, which {_forward_of(program)} does not take.")
    try:
        certain = set(read_contract(program).output_fields)
    except Uncertain:
        return
    absent = sorted(set(given.output_fields) - certain)
    if absent:
        raise ContractError(
            f"the signature has the output {absent[0]!r}, but {_forward_of(program)} returns {sorted(certain)}."
        )


def _forward_of(program: dspy.Module) -> str:
    return f"{type(program).__name__}.forward"


def _ensemble_contract(program: dspy.Module) -> type[dspy.Signature]:
    reduce = inspect.getclosurevars(cast("FunctionType", vars(type(program))["forward"])).nonlocals.get("reduce_fn")
    if reduce is not dspy.majority:
        raise Uncertain("an Ensemble returns whatever its reduce_fn makes of several predictions")
    contracts = [read_contract(one) for one in program.programs]
    if any(_shape(one) != _shape(contracts[0]) for one in contracts):
        raise Uncertain("the programs of the Ensemble have different signatures")
    return contracts[0]


def _shape(signature: type[dspy.Signature]) -> list[tuple[str, Any, Any]]:
    inputs = signature.input_fields
    return [(name, info.annotation, name in inputs) for name, info in signature.fields.items()]


_OTHER_WAYS = {"__call__", "acall", "aforward", "__getattribute__"}
"""Methods by which a call may do something else than `forward`."""


def _passed_on_to(program: dspy.Module) -> dspy.Module | None:
    """The submodule that `forward` of `program` is nothing but a call of, with each input under its own name."""
    kind = type(program)
    forward = kind.__dict__.get("forward")
    if not isinstance(forward, FunctionType) or kind.__bases__ != (dspy.Module,) or _OTHER_WAYS & vars(kind).keys():
        return None
    tree = parsed(forward)
    body = [line for line in tree.body if not _is_docstring(line)] if tree else []
    if not tree or len(body) != 1 or not isinstance(body[0], ast.Return) or not isinstance(body[0].value, ast.Call):
        return None
    call = body[0].value
    inner = resolve(call.func, {"self": program})
    return inner if isinstance(inner, dspy.Module) and _passes_all(tree, call, inner) else None


def _is_docstring(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)


def _passes_all(tree: ast.FunctionDef | ast.AsyncFunctionDef, call: ast.Call, inner: dspy.Module) -> bool:
    passed = {word.arg: word.value.id for word in call.keywords if isinstance(word.value, ast.Name)}
    arguments = tree.args
    if call.args or len(passed) != len(call.keywords) or arguments.vararg or arguments.posonlyargs:
        return False
    if arguments.defaults or any(arguments.kw_defaults) or tree.decorator_list:
        return False
    names = [one.arg for one in (*arguments.args[1:], *arguments.kwonlyargs)]
    if arguments.kwarg:
        return not names and passed == {None: arguments.kwarg.arg}
    return passed == {name: name for name in names} and set(names) == set(read_contract(inner).input_fields)


class _ForwardReader:
    """Reads inputs and outputs from the source of one `forward`."""

    def __init__(self, program: dspy.Module) -> None:
        self.program = program
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
                    info = read_contract(module).input_fields.get(word.arg or "")
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
            return {name: (info.annotation, info) for name, info in read_contract(module).output_fields.items()}
        if isinstance(node, ast.Call) and resolve(node.func, self.names) is dspy.Prediction and not node.args:
            return {str(word.arg): self._output(word) for word in node.keywords}
        raise Uncertain("`forward` returns something else than a predictor's result or a dspy.Prediction(...)")

    def _output(self, word: ast.keyword) -> tuple[Any, FieldInfo]:
        source = word.value
        if word.arg and isinstance(source, ast.Attribute) and isinstance(source.value, ast.Name):
            module = self.results.get(source.value.id)
            info = read_contract(module).output_fields.get(source.attr) if module is not None else None
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
