"""What a whole program promises its callers: inputs and outputs, read where that is certain, never guessed."""

import ast
import inspect
from types import FunctionType
from typing import Any, cast

import dspy
from dspy.teleprompt.ensemble import Ensemble as _Ensemble

from t0dspy.compiler.forward import ForwardReader, Uncertain
from t0dspy.compiler.introspect import signature_of
from t0dspy.compiler.made_at_run_time import parsed, resolve
from t0dspy.errors import ContractError


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
    return ForwardReader(program, _called_contract).contract()


def _called_contract(module: dspy.Module) -> type[dspy.Signature]:
    """What `module` takes by keyword and returns when a program calls it."""
    if type(module) is dspy.MultiChainComparison:  # it takes the drafts besides, by position
        return signature_of(module.predict)
    return read_contract(module)


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
