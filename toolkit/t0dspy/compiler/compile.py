"""Compile a live program to templates, schemas and settings, before names and versions are assigned."""

from typing import Any

import dspy

from t0dspy.compiler import adapters
from t0dspy.compiler.compiled_predictor import compile_predictor
from t0dspy.compiler.contract import is_only_its_predictor, program_contract
from t0dspy.compiler.introspect import lm_of, predictors_of, refused_fields
from t0dspy.compiler.lenient import lenient_output_schema
from t0dspy.compiler.sampling import connection_keys, shorthand_of
from t0dspy.compiler.schema import input_schema, output_schema
from t0dspy.compiler.template import arguments_template, finished
from t0dspy.errors import CompileError, Refusal, shown
from t0dspy.model import CompiledPredictor, CompiledProgram, Predictor, ProgramContract, PromptForm


def compile_program(
    program: dspy.Module,
    *,
    form: PromptForm | None = None,
    model: str | None = None,
    signature: type[dspy.Signature] | None = None,
    stages_only: bool = False,
    code_hash: str | None = None,
) -> CompiledProgram:
    """Compile the current instructions, demos and sampling settings of `program`.

    Args:
        program: the live program, with its optimized state loaded.
        form: the prompt form; None for the form of the configured DSPy adapter.
        model: the TensorZero model of every predictor, such as `openai::gpt-4o-mini`; None to derive each
            from the predictor's LM.
        signature: the program's contract; None to read it from the program's code.
        stages_only: whether to omit the program function.
        code_hash: a hash of the program's source, recorded if the version needs the program's code.

    Raises:
        CompileError: if the program cannot be compiled; it lists every reason.
        ContractError: if the contract cannot be read with certainty, or `signature` contradicts the code.
    """
    form = form or _configured_form()
    options = _adapter_options(form)
    writers = adapters.adapters_of(form, options)
    predictors = predictors_of(program)
    models = _models(program, predictors, model)
    lms = {path: lm_of(predict) for path, predict in program.named_predictors()}
    compiled = tuple(
        compile_predictor(predictor, writers, lms[predictor.path], models[predictor.path]) for predictor in predictors
    )
    direct = not stages_only and len(predictors) == 1 and is_only_its_predictor(program)
    contract = None
    if not stages_only:
        read = program_contract(program, signature)
        # Only Python code can narrow the predictor's own contract.
        direct = direct and (signature is None or _is_contract_of(predictors[0], read))
        contract = _compile_contract(read, direct=direct)
    needs_python = not stages_only and (not direct or compiled[0].demo_turns > 0)
    notes = _notes(program, compiled, direct)
    code_hash = code_hash if needs_python else None
    return CompiledProgram(form, compiled, contract, direct, code_hash, notes, adapter=options)


def _configured_form() -> PromptForm:
    form = adapters.form_of(dspy.settings.adapter)
    if form is None:
        name = type(dspy.settings.adapter).__name__
        remedy = (
            "Optimize under dspy.ChatAdapter, dspy.JSONAdapter, dspy.XMLAdapter or t0dspy.ServedAdapter, or pass "
            "--adapter."
        )
        raise CompileError.because(
            f"adapter {name}", "writes prompts that exported templates cannot reproduce.", remedy
        )
    return form


def _adapter_options(form: PromptForm) -> dict[str, Any]:
    """Return the options of the configured adapter if it writes `form`; another adapter is made with its defaults."""
    configured = dspy.settings.adapter
    return adapters.adapter_options(configured) if adapters.form_of(configured) == form else {}


def _models(program: dspy.Module, predictors: list[Predictor], model: str | None) -> dict[str, str]:
    if model is not None:
        return {predictor.path: model for predictor in predictors}
    models, refusals = {}, []
    for path, predict in program.named_predictors():
        shorthand, reason = shorthand_of(lm_of(predict), predict.config)
        models[path] = shorthand or ""
        if shorthand is None:
            remedy = "Name one with --model, such as openai::gpt-4o-mini or a model of tensorzero.toml."
            refusals.append(Refusal(path, f"has no known model: {reason}.", remedy))
    if refusals:
        raise CompileError(refusals)
    return models


def _compile_contract(signature: type[dspy.Signature], *, direct: bool) -> ProgramContract:
    refusals = list(refused_fields("the program", signature))
    if refusals:
        raise CompileError(refusals)
    inputs = input_schema(signature)
    outputs = output_schema(signature)[0] if direct else lenient_output_schema(signature)
    return ProgramContract(inputs, outputs, finished(arguments_template(inputs)))


def _is_contract_of(predictor: Predictor, contract: type[dspy.Signature]) -> bool:
    return _compile_contract(contract, direct=True) == _compile_contract(predictor.signature, direct=True)


def _notes(program: dspy.Module, compiled: tuple[CompiledPredictor, ...], direct: bool) -> tuple[str, ...]:
    notes = []
    for path, predict in program.named_predictors():
        left_out = connection_keys(lm_of(predict), predict.config)
        if left_out:
            names = ", ".join(left_out)
            notes.append(
                f"{shown(path)}: the export omits {names} of its LM; tensorzero.toml defines how to reach a model."
            )
    bare = [shown(path) for path, predict in program.named_predictors() if lm_of(predict) is None]
    if bare:
        notes.append(
            f"{', '.join(bare)}: no LM is set here, so its sampling settings (temperature, max_tokens ...) are unknown "
            "and the provider's defaults will apply. If you optimized with other settings, call dspy.configure(lm=...) "
            "in the program's module, or give the predictors a config."
        )
    if direct and compiled[0].demo_turns:
        notes.append(
            f"the demos ({compiled[0].demo_turns}) are chat turns, which only the program server can send, so calls go "
            "through it. `--demos system` folds them into the system message instead. Then serving needs no Python, "
            "but the prompt changes; `t0dspy evaluate` measures the effect."
        )
    return tuple(notes)
