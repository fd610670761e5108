"""Compile a live program to templates, schemas and settings, before names and versions are assigned."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import dspy

from t0dspy.compiler import adapters
from t0dspy.compiler.compiled_predictor import compile_kept, compile_predictor
from t0dspy.compiler.contract import is_only_its_predictor, program_contract
from t0dspy.compiler.introspect import predictors_of, refused_fields
from t0dspy.compiler.keep import paths_of
from t0dspy.compiler.lenient import lenient_output_schema
from t0dspy.compiler.lm_models import Models, map_lms, own_lm
from t0dspy.compiler.notes import notes_of
from t0dspy.compiler.program_signature import ProgramSignature
from t0dspy.compiler.schema import input_schema, output_schema
from t0dspy.compiler.template import arguments_template, finished
from t0dspy.errors import CompileError
from t0dspy.model import CompiledProgram, Predictor, ProgramContract, PromptForm


def compile_program(
    program: dspy.Module,
    *,
    form: PromptForm | None = None,
    model: str | None = None,
    models: Models | None = None,
    keep: Sequence[str] = (),
    signature: type[dspy.Signature] | None = None,
    stages_only: bool = False,
    code_hash: str | None = None,
) -> CompiledProgram:
    """Compile the current instructions, demos and sampling settings of `program`.

    Args:
        program: the live program, with its optimized state loaded.
        form: the prompt form; None for the form of the configured DSPy adapter.
        model: the TensorZero model of the program's LM, such as `openai::gpt-4o-mini`; None to derive that of each
            LM from its name in DSPy.
        models: further models, by predictor or LM, and the models that the config defines.
        keep: the paths of predictors and modules that stay in Python.
        signature: the program's contract; None to read it from the program's code.
        stages_only: whether to omit the program function.
        code_hash: a hash of the program's source, recorded if the version needs the program's code.

    Raises:
        CompileError: if the program cannot be compiled; it lists every reason.
        ContractError: if the contract cannot be read with certainty, or `signature` contradicts the code.
    """
    predictors = predictors_of(program, keep)
    form = form or _configured_form(predictors)
    options = _adapter_options(form)
    writers = adapters.adapters_of(form, options)
    modules = paths_of(program)
    functions = {predictor.path: modules[predictor.path] for predictor in predictors}
    models = models or Models()
    mapped = map_lms(program, models if model is None else replace(models, all=model), functions)
    predictors = [replace(each, model=mapped.models[each.path], lm=mapped.own[each.path]) for each in predictors]
    compiled = tuple(
        compile_kept(predictor)
        if predictor.kept
        else compile_predictor(predictor, writers, own_lm(functions[predictor.path]), predictor.model or "")
        for predictor in predictors
    )
    direct = not stages_only and len(predictors) == 1 and not predictors[0].kept and is_only_its_predictor(program)
    contract = None
    if not stages_only:
        read = program_contract(program, signature)
        # Only Python code can narrow the predictor's own contract.
        direct = direct and (signature is None or _is_contract_of(predictors[0], read))
        contract = _compile_contract(read, direct=direct)
    needs_python = not stages_only and (not direct or compiled[0].demo_turns > 0)
    if needs_python and mapped.not_carried:
        raise CompileError(mapped.not_carried)
    code_hash = code_hash if needs_python else None
    notes = (*mapped.notes, *notes_of(program, predictors, compiled, direct=direct, by_clients=not needs_python))
    return CompiledProgram(form, compiled, contract, direct, code_hash, notes, mapped.entries, options)


def _configured_form(predictors: Sequence[Predictor]) -> PromptForm:
    form = adapters.form_of(dspy.settings.adapter)
    if form is None and all(predictor.kept for predictor in predictors):
        return PromptForm()  # the adapter itself writes the prompts of kept predictors
    if form is None:
        name = type(dspy.settings.adapter).__name__
        remedy = (
            "Optimize under dspy.ChatAdapter, dspy.JSONAdapter, dspy.XMLAdapter or t0dspy.ServedAdapter, or pass "
            f"--adapter. Or pass {_keep_flags(predictors)}, so that they run in Python through DSPy."
        )
        raise CompileError.because(
            f"adapter {name}", "writes prompts that exported templates cannot reproduce.", remedy
        )
    return form


def _keep_flags(predictors: Sequence[Predictor]) -> str:
    return " ".join(f"--keep {shlex.quote(predictor.path)}" for predictor in predictors if not predictor.kept)


def _adapter_options(form: PromptForm) -> dict[str, Any]:
    """Return the options of the configured adapter if it writes the text of `form`; else the defaults apply."""
    configured = adapters.form_of(dspy.settings.adapter)
    same_text = configured is not None and configured.adapter == form.adapter
    return adapters.adapter_options(dspy.settings.adapter) if same_text else {}


def _compile_contract(signature: ProgramSignature, *, direct: bool) -> ProgramContract:
    refusals = list(refused_fields("the program", signature.inputs, prints_inputs=direct))
    if signature.outputs is not signature.inputs:
        refusals += refused_fields("the program", signature.outputs, prints_inputs=direct)
    if refusals:
        raise CompileError(refusals)
    inputs = input_schema(signature.inputs)
    outputs = output_schema(signature.outputs)[0] if direct else lenient_output_schema(signature.outputs)
    return ProgramContract(inputs, outputs, finished(arguments_template(inputs)))


def _is_contract_of(predictor: Predictor, contract: ProgramSignature) -> bool:
    own = ProgramSignature.of(predictor.signature)
    return _compile_contract(contract, direct=True) == _compile_contract(own, direct=True)
