"""Read the contract of a whole program, its inputs and outputs, if the code leaves no doubt about it."""

import ast
import inspect
from types import FunctionType
from typing import Any, cast

import dspy
from dspy.teleprompt.ensemble import Ensemble as _Ensemble

from t0dspy.compiler.entry import entry_name
from t0dspy.compiler.forward import ForwardReader
from t0dspy.compiler.function_source import Uncertain
from t0dspy.compiler.given import completed
from t0dspy.compiler.introspect import signature_of
from t0dspy.compiler.made_at_run_time import parsed, resolve
from t0dspy.compiler.program_signature import ProgramSignature
from t0dspy.compiler.suggestion import signature_flag
from t0dspy.errors import ContractError


def program_contract(program: dspy.Module, given: type[dspy.Signature] | None) -> ProgramSignature:
    """Return the contract of `program`: `given`, or else the one that its code implies.

    A given signature is completed from the code: an input has the default of its parameter, and a field that is
    written without a type has the type that the code shows.

    Raises:
        ContractError: if `given` is None and the code is not clear, if `given` contradicts the code, or if the program
            cannot be called.
    """
    if entry_name(program) is None:
        raise ContractError(
            f"{type(program).__name__} has neither `forward` nor `aforward`, so it cannot be called. Add one, or "
            "export its predictors alone with --stages-only."
        )
    if given is not None:
        return ProgramSignature.of(completed(given, program, _reader(program)))
    try:
        return read_contract(program)
    except Uncertain as why:
        raise ContractError(
            f"the inputs and outputs of {type(program).__name__} cannot be read from its code with certainty: {why}. "
            f"State them with {_flag(program)} (or `signature` in the program's settings), correct what is guessed, "
            "or export its predictors alone with --stages-only."
        ) from None


def _reader(program: dspy.Module) -> ForwardReader | None:
    """Return the reader of the program's code; None if it has no source, or is a module of DSPy."""
    if type(program).__module__.startswith("dspy."):
        return None
    try:
        return ForwardReader(program, _called_contract)
    except Uncertain:
        return None


def _flag(program: dspy.Module) -> str:
    reader = _reader(program)
    try:
        inputs = reader.inputs() if reader else {}
    except Uncertain:
        inputs = {}
    return signature_flag(program, inputs)


def is_only_its_predictor(program: dspy.Module) -> bool:
    """Return whether calling `program` only calls its one predictor, without other code of the user."""
    if type(program) in (dspy.Predict, dspy.ChainOfThought):
        return True
    inner = _forwarded_module(program)
    return inner is not None and is_only_its_predictor(inner)


_OF_A_SIGNATURE = (dspy.ReAct, dspy.ReActV2, dspy.RLM, dspy.CodeAct, dspy.ProgramOfThought)
"""DSPy modules that take the inputs of their signature and return its outputs."""


def read_contract(program: dspy.Module) -> ProgramSignature:
    """Return the contract of `program`, from DSPy's own modules or from the source of `forward`.

    Raises:
        Uncertain: if the contract cannot be read.
    """
    if isinstance(program, dspy.Predict):
        return ProgramSignature.of(signature_of(program))
    if type(program) is dspy.ChainOfThought:
        return ProgramSignature.of(signature_of(program.predict))
    if type(program) in _OF_A_SIGNATURE:
        return ProgramSignature.of(cast("type[dspy.Signature]", program.signature))
    if type(program) in (dspy.BestOfN, dspy.Refine):
        return read_contract(program.module)
    if type(program).__module__ == _Ensemble.__module__:
        return _ensemble_contract(program)
    if type(program).__module__.startswith("dspy."):
        raise Uncertain(f"dspy.{type(program).__name__} takes more than the fields of a signature")
    inner = _forwarded_module(program)
    if inner is not None and is_only_its_predictor(inner):
        return read_contract(inner)
    return ForwardReader(program, _called_contract).contract()


def _called_contract(module: dspy.Module) -> ProgramSignature:
    """Return the keyword inputs and the outputs of `module` when a program calls it."""
    if type(module) is dspy.MultiChainComparison:  # it also takes the drafts, by position
        return ProgramSignature.of(signature_of(module.predict))
    return read_contract(module)


def _ensemble_contract(program: dspy.Module) -> ProgramSignature:
    reduce = inspect.getclosurevars(cast("FunctionType", vars(type(program))["forward"])).nonlocals.get("reduce_fn")
    if reduce is not dspy.majority:
        raise Uncertain("an Ensemble returns whatever its reduce_fn makes of several predictions")
    contracts = [read_contract(member) for member in program.programs]
    if any(_shape(contract) != _shape(contracts[0]) for contract in contracts):
        raise Uncertain("the programs of the Ensemble have different signatures")
    return contracts[0]


def _shape(contract: ProgramSignature) -> list[tuple[str, Any]]:
    fields = [*contract.input_fields.items(), *contract.output_fields.items()]
    return [(name, info.annotation) for name, info in fields] + [("", len(contract.input_fields))]


_OTHER_WAYS = {"__call__", "acall", "aforward", "__getattribute__"}
"""Methods that make a call do something other than `forward`."""


def _forwarded_module(program: dspy.Module) -> dspy.Module | None:
    """Return the submodule that `forward` only calls, with each input under its own name, or None."""
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
    names = [argument.arg for argument in (*arguments.args[1:], *arguments.kwonlyargs)]
    if arguments.kwarg:
        return not names and passed == {None: arguments.kwarg.arg}
    return passed == {name: name for name in names} and set(names) == set(read_contract(inner).input_fields)
