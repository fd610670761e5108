"""Export the winner of a retrain as the next version, with its scores and its lineage."""

import json
from dataclasses import replace

import dspy

from t0dspy.artifact.exported import ExportedProgram
from t0dspy.artifact.lms import entry_identity
from t0dspy.artifact.manifest import VersionEntry
from t0dspy.artifact.rollout_toml import with_share
from t0dspy.exporting.export import export
from t0dspy.exporting.options import Export, ExportOptions
from t0dspy.flywheel.curate.settings import curate_options
from t0dspy.flywheel.optimize.optimize import Optimized
from t0dspy.flywheel.retrain.gather import LINEAGE, Gathered, lineage
from t0dspy.flywheel.retrain.results import Retrained, lineage_entry, scores_of
from t0dspy.flywheel.retrain.task import Task, is_made
from t0dspy.flywheel.retrain.undecided import new_candidates, undecided
from t0dspy.flywheel.split.handles import lineage_of


def promote(task: Task, result: Retrained, optimized: Optimized) -> Retrained:
    """Export the winner with its share of the traffic.

    Raises:
        WireInequalityError: the gateway would send other requests than those that were optimized; nothing is written.
        BundleError: the files cannot be written.
        GatewayError: TensorZero refuses the config.
    """
    task.progress(f"exporting the winner of {task.name}")
    share, competing = _share(task)
    options = replace(
        _export_options(task),
        traffic=share,
        replaces=() if task.review else tuple(undecided(task.exported.shares)),
        verify=task.options.verify,
        scores=scores_of(result, optimized),
        lineage={**lineage_entry(result, task.options), **({"review": True} if task.review else {})},
        beside={LINEAGE: _lineage_json(task, result.gathered)},
    )
    made = export(optimized.program, task.settings.configs_dir, options, progress=task.progress)
    notes = [*result.notes, *competing, *made.notes]
    if made.unchanged and not is_made(task):
        notes.append(
            f"it equals {made.version}, which exists; give that one traffic with `t0dspy traffic {task.name}`."
        )
    review = _share_command(task, made) if task.review and made.version not in made.shares else ""
    return replace(result, outcome="promoted", version=made.version, export=made, notes=notes, review=review)


def _share_command(task: Task, made: Export) -> str:
    """Return the command that gives the winner its share of the traffic."""
    shares = with_share(made.shares, made.version, task.options.share or 0.1)
    written = " ".join(f"{version}={share:g}" for version, share in shares.items())
    return f"t0dspy traffic {task.name} {written} --apply"


def _share(task: Task) -> tuple[float | None, list[str]]:
    """Return the winner's share and notes; there is no share if another candidate got traffic during the retrain."""
    if task.review:
        return None, []
    share, present = task.options.share or None, ExportedProgram.from_directory(task.exported.directory).shares
    others = new_candidates(list(task.exported.shares), present)
    if share is None or not others or is_made(task):
        return share, []
    listed = ", ".join(others)
    return None, [f"{listed} got traffic while this retrain ran, so the winner has none: decide about {listed} first."]


def check_exportable(task: Task, incumbent: dspy.Module) -> None:
    """Check that a winner could be exported before anything is spent on finding one.

    Raises:
        ProgramError: the program cannot be compiled, or its contract is unknown or changed.
        BundleError: its files were edited by hand.
    """
    export(incumbent, task.settings.configs_dir, replace(_export_options(task), dry_run=True, verify=False))


def _export_options(task: Task) -> ExportOptions:
    manifest = task.exported.manifest
    return ExportOptions(
        name=task.name,
        model=task.program_settings.model or _served_model(task),
        models={**_served_models(task), **task.program_settings.models},
        lms=task.settings.models,
        keep=[path for path, predictor in _served(task).predictors.items() if predictor.kept],
        adapter=task.form.adapter,
        demos=task.form.demos,
        signature=task.program_settings.signature,
        stages_only=_served(task).served_by is None,
        import_path=manifest.program,
        stage_timeout=task.program_settings.stage_timeout or manifest.deadlines["stage"],
        run_timeout=task.program_settings.run_timeout or manifest.deadlines["run"],
    )


def _lineage_json(task: Task, gathered: Gathered) -> str:
    ignore = curate_options(task.program_settings).ignore
    parts = {part: list(lineage_of(getattr(gathered, part), ignore)) for part in ("train", "validation", "holdout")}
    parts["train"] = sorted({*parts["train"], *lineage(task.exported, task.version)})
    return json.dumps(parts, indent=0) + "\n"


def _served(task: Task) -> VersionEntry:
    return task.exported.version(task.version)


def _served_model(task: Task) -> str | None:
    """Return the TensorZero model of the incumbent if all of its predictors have the same one."""
    models = {predictor.model for predictor in _served(task).predictors.values()}
    return models.pop() if len(models) == 1 else None


def _served_models(task: Task) -> dict[str, str]:
    """Return the models of the incumbent's LMs by name, which the winner has too."""
    return {entry_identity(lm).label: lm.model for lm in _served(task).lms.values()}
