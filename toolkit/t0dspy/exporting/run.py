"""Export: plan the next version, prove it on the wire, write it. Nothing is left behind when any of it fails."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import dspy

from t0dspy.artifact import bundle, rollout_toml
from t0dspy.artifact.bundle import MANIFEST
from t0dspy.artifact.exported import ExportedProgram, program_directory
from t0dspy.compiler import adapters
from t0dspy.compiler.compile import compile_program
from t0dspy.compiler.naming import validate_name
from t0dspy.compiler.next_version import contract_differences
from t0dspy.errors import CompileError, ContractError
from t0dspy.exporting.options import Export, ExportOptions
from t0dspy.exporting.step import ExportStep, Progress
from t0dspy.model import CompiledProgram, PromptForm
from t0dspy.program.load import checked_program, code_hash, load_program
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
        options: what to do otherwise than by default.
        progress: called with a line about what is being done.
        parity_progress: called with a predictor's path and the number of inputs compared.
        overrides: fields of `ExportOptions`, for short.

    Returns:
        What was written. An unchanged program writes nothing.

    Raises:
        ProgramError: the program, its state or its contract; every reason is named.
        HandEditedError: a generated file that would be rewritten was changed by hand.
        BundleError: the files cannot be written.
        GatewayError: TensorZero refuses the config.
        WireInequalityError: the gateway would send something else than DSPy does; nothing is written.
    """
    options = replace(options or ExportOptions(), **overrides)
    if options.traffic is not None:
        rollout_toml.check_share(options.traffic, "the new version")
    reference = program if isinstance(program, str) else options.import_path
    live = load_program(program) if isinstance(program, str) else checked_program(program, "export")
    name = validate_name(options.name or _default_name(reference))
    notes: list[str] = []
    if options.state is not None:
        state = read_state(options.state)
        live, notes = with_state(live, state, str(options.state))
        notes += version_notes(state, str(options.state))
        notes += _unsaid_adapter(options)
    progress(f"compiling {name}")
    compiled = _compile(live, reference, options)
    programs = program_directory(Path(configs), name).parent
    name = _free_name(programs, name, compiled, options)
    start = partial(ExportStep, live, compiled, programs / name, options, reference)
    work = start()
    if options.dry_run or (work.planned.unchanged and not bundle.interrupted(programs / name)):
        return work.run(notes, progress, parity_progress)  # nothing is written, not even a lock
    with bundle.locked(programs / name):
        if bundle.read_tree(programs / name) != work.before.files:  # somebody else was quicker
            work = start()
        return work.run(notes, progress, parity_progress)


def _compile(live: dspy.Module, reference: str | None, options: ExportOptions) -> CompiledProgram:
    signature = options.signature
    if isinstance(signature, str):
        signature = load_signature(signature, live)
    return compile_program(
        live,
        form=_form(options),
        model=options.model,
        signature=signature,
        stages_only=options.stages_only,
        code_hash=code_hash(live, reference),
    )


def _form(options: ExportOptions) -> PromptForm | None:
    if options.adapter is None and options.demos is None:
        return None
    configured = adapters.form_of(dspy.settings.adapter) or PromptForm()
    return PromptForm(options.adapter or configured.adapter, options.demos or configured.demos)


def _unsaid_adapter(options: ExportOptions) -> list[str]:
    """A state does not say under which adapter it was optimized, and where nothing does, DSPy takes its own."""
    if options.adapter is not None or dspy.settings.adapter is not None:
        return []
    return [
        f"{options.state} does not say which adapter it was optimized under, and none is configured here: the prompts "
        "are dspy.ChatAdapter's. If it was another one, say `adapter` in the settings or --adapter."
    ]


def _default_name(reference: str | None) -> str:
    if reference is None:
        raise CompileError.because("the program", "was given as an object, which has no name.", "Pass name='...'.")
    return reference.rpartition(":")[2].rpartition(".")[2]


def _free_name(programs: Path, name: str, compiled: CompiledProgram, options: ExportOptions) -> str:
    """`name`, or with `breaking` and a changed contract the first NAME_2, NAME_3 ... whose contract fits."""
    count, candidate = 1, name
    while (programs / candidate / MANIFEST).exists():
        changes = _contract_changes(ExportedProgram.from_directory(programs / candidate), compiled)
        if not changes:
            return candidate
        if not options.breaking:
            listed = "\n  ".join(changes)
            raise ContractError(
                f"this export would change what {candidate} promises its callers:\n  {listed}\n"
                f"Pass --breaking to keep {candidate} as it is and make {name}_{count + 1} with the new contract."
            )
        count += 1
        candidate = f"{name}_{count}"
    return candidate


def _contract_changes(exported: ExportedProgram, compiled: CompiledProgram) -> list[str]:
    name, manifest = exported.name, exported.manifest
    stages_only = name not in manifest.functions
    if stages_only and compiled.contract is None:
        return []
    if stages_only or compiled.contract is None:
        before, after = ("only its stages", "a program function") if stages_only else ("a program function", "none")
        return [f"{name} has {before}, this export {after} (see --stages-only)"] if manifest.versions else []
    return contract_differences(exported.schemas(name), (compiled.contract.inputs, compiled.contract.outputs))
