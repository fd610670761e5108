"""Export a program: plan the next version, verify it and write it. If any of this fails, nothing is written."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import dspy

from t0dspy.artifact import bundle, rollout_toml, user_config
from t0dspy.artifact.bundle import MANIFEST
from t0dspy.artifact.exported import ExportedProgram, program_directory
from t0dspy.compiler import adapters
from t0dspy.compiler.compile import compile_program
from t0dspy.compiler.lm_models import Models
from t0dspy.compiler.naming import validate_name
from t0dspy.compiler.narrowing import with_documented_contract
from t0dspy.compiler.next_version import contract_differences
from t0dspy.errors import CompileError, ContractError
from t0dspy.exporting.options import Export, ExportOptions
from t0dspy.exporting.step import ExportStep, Progress
from t0dspy.exporting.storage import check_storage
from t0dspy.model import CompiledProgram, PromptForm
from t0dspy.program.load import code_hash, load_program, require_program
from t0dspy.program.signatures import load_signature
from t0dspy.program.state import read_state, version_notes, with_state


def export(
    program: str | dspy.Module,
    configs: Path | str = "configs",
    options: ExportOptions | None = None,
    *,
    progress: Progress = lambda text: None,
    parity_progress: Callable[[str, int], None] = lambda path, count: None,
    **overrides: Any,
) -> Export:
    """Compile `program` and write its next version below `configs`.

    Args:
        program: a live `dspy.Module`, or an import path such as `app.review:program`.
        configs: the directory of TensorZero's config.
        options: the options of the export.
        progress: called with a line of text for each step.
        parity_progress: called with a predictor's path and the number of compared inputs.
        overrides: fields of `ExportOptions` that replace those of `options`.

    Returns:
        The version and what it changes. If the program is unchanged, nothing is written.

    Raises:
        ProgramError: if the program, its state or its contract cannot be exported; it lists every reason.
        HandEditedError: if the export would overwrite a generated file that was edited by hand.
        BundleError: if the files cannot be written.
        GatewayError: if TensorZero rejects the config.
        WireInequalityError: if the gateway would send other requests than DSPy; nothing is written.
    """
    options = replace(options or ExportOptions(), **overrides)
    if options.traffic is not None:
        rollout_toml.check_share(options.traffic, "the new version")
    reference = program if isinstance(program, str) else options.import_path
    live = load_program(program) if isinstance(program, str) else require_program(program, "export")
    name = validate_name(options.name or _default_name(reference))
    notes: list[str] = []
    if options.state is not None:
        state = read_state(options.state)
        live, notes = with_state(live, state, str(options.state))
        notes += version_notes(state, str(options.state))
        notes += _adapter_notes(options)
    progress(f"compiling {name}")
    compiled = _compile(live, reference, options, Path(configs))
    check_storage(compiled, Path(configs))
    programs = program_directory(Path(configs), name).parent
    compiled = _with_documented_contract(compiled, programs / name)
    name = _free_name(programs, name, compiled, options)
    start = partial(ExportStep, live, compiled, programs / name, options, reference)
    work = start()
    if options.dry_run or (work.planned.unchanged and not bundle.interrupted(programs / name)):
        return work.run(notes, progress, parity_progress)  # nothing is written, not even a lock file
    with bundle.lock(programs / name):
        if bundle.read_tree(programs / name) != work.before.files:  # another process wrote to it in the meantime
            work = start()
        return work.run(notes, progress, parity_progress)


def _compile(live: dspy.Module, reference: str | None, options: ExportOptions, configs: Path) -> CompiledProgram:
    signature = options.signature
    if isinstance(signature, str):
        signature = load_signature(signature, live)
    return compile_program(
        live,
        form=_form(options),
        models=Models(options.model, options.models, options.lms, user_config.models(configs)),
        keep=options.keep,
        signature=signature,
        stages_only=options.stages_only,
        code_hash=code_hash(live, reference),
    )


def _form(options: ExportOptions) -> PromptForm | None:
    if options.adapter is None and options.demos is None:
        return None
    configured = adapters.form_of(dspy.settings.adapter)
    if options.adapter is None and configured is None:
        return None  # the compiler refuses the configured adapter, which only `adapter` may replace
    configured = configured or PromptForm()
    return PromptForm(options.adapter or configured.adapter, options.demos or configured.demos)


def _adapter_notes(options: ExportOptions) -> list[str]:
    """Return a note if no adapter is set, because a state does not record its adapter and DSPy has a default."""
    if options.adapter is not None or dspy.settings.adapter is not None:
        return []
    return [
        f"{options.state} does not record the adapter it was optimized with, and none is configured here, so the "
        "prompts are those of dspy.ChatAdapter. For another adapter, set `adapter` in the settings or pass --adapter."
    ]


def _default_name(reference: str | None) -> str:
    if reference is None:
        raise CompileError.because("the program", "is an object, which has no name.", "Pass name='...'.")
    return reference.rpartition(":")[2].rpartition(".")[2]


def _free_name(programs: Path, name: str, compiled: CompiledProgram, options: ExportOptions) -> str:
    """Return `name`, or with `breaking` and a changed contract the first of NAME_2, NAME_3 ... that fits."""
    count, candidate = 1, name
    while (programs / candidate / MANIFEST).exists():
        changes = _contract_changes(ExportedProgram.from_directory(programs / candidate), compiled)
        if not changes:
            return candidate
        if not options.breaking:
            listed = "\n  ".join(changes)
            raise ContractError(
                f"this export would change the contract of {candidate}:\n  {listed}\n"
                f"Pass --breaking to keep {candidate} unchanged and create {name}_{count + 1} with the new contract."
            )
        count += 1
        candidate = f"{name}_{count}"
    return candidate


def _with_documented_contract(compiled: CompiledProgram, directory: Path) -> CompiledProgram:
    if not (directory / MANIFEST).exists():
        return compiled
    exported = ExportedProgram.from_directory(directory)
    known = exported.name in exported.manifest.functions
    return with_documented_contract(compiled, *exported.schemas(exported.name)) if known else compiled


def _contract_changes(exported: ExportedProgram, compiled: CompiledProgram) -> list[str]:
    name, manifest = exported.name, exported.manifest
    stages_only = name not in manifest.functions
    if stages_only and compiled.contract is None:
        return []
    if stages_only or compiled.contract is None:
        before, after = ("only its stages", "a program function") if stages_only else ("a program function", "none")
        return [f"{name} has {before}, this export has {after} (see --stages-only)"] if manifest.versions else []
    return contract_differences(exported.schemas(name), (compiled.contract.inputs, compiled.contract.outputs))
