"""Prepare an exported version for the transport: the texts of its prompts, and how to send inputs."""

from collections.abc import Mapping

import dspy

from t0dspy.artifact.exported import ExportedProgram
from t0dspy.artifact.manifest import PredictorEntry, VersionEntry
from t0dspy.compiler.adapters import adapters_of
from t0dspy.compiler.arguments import Arguments
from t0dspy.compiler.introspect import lm_of, signature_of
from t0dspy.compiler.keep import Kept, paths_of, predictors_in
from t0dspy.compiler.static_text import static_text
from t0dspy.compiler.variants import MAIN_LM
from t0dspy.errors import BundleError
from t0dspy.transport.default_lm import default_lm
from t0dspy.transport.prompt import Prompt, ServedPredictor
from t0dspy.transport.run import ServedVersion


def served_version(exported: ExportedProgram, version: str, program: dspy.Module) -> ServedVersion:
    """Return `version` as the transport needs it.

    Args:
        exported: the exported program.
        version: the version.
        program: the live program with the instructions and demos of the version.

    Raises:
        BundleError: an older t0dspy exported the version, so that its functions lack what the transport needs.
    """
    entry = exported.version(version)
    predictors = dict(program.named_predictors())
    served = {path: _serve(exported, path, stage, entry, predictors) for path, stage in entry.predictors.items()}
    direct_lm = None
    if entry.served_by == "gateway":
        direct_lm = next(iter(entry.predictors.values())).lm or MAIN_LM
    return ServedVersion(
        exported.name,
        version,
        entry.form,
        served,
        exported.manifest.deadlines["stage"],
        entry.lms,
        direct_lm,
        entry.adapter,
        _covered(entry, program),
    )


def _with_state(path: str, stage: PredictorEntry, predict: dspy.Predict) -> ServedPredictor:
    """Return a predictor whose prompt DSPy writes, with the instructions and demos of the version."""
    return ServedPredictor(path, stage, (), signature_of(predict), list(predict.demos))


def _covered(entry: VersionEntry, program: dspy.Module) -> dict[str, ServedPredictor]:
    """Return the predictors inside the kept modules."""
    modules = paths_of(program)
    return {
        path: _with_state(path, stage, predict)
        for kept, stage in entry.predictors.items()
        if stage.kept and kept in modules
        for path, predict in predictors_in(program).items()
        if path not in entry.predictors and Kept(program, [kept]).covers(predict)
    }


def _serve(
    exported: ExportedProgram,
    path: str,
    stage: PredictorEntry,
    version: VersionEntry,
    predictors: Mapping[str, dspy.Predict],
) -> ServedPredictor:
    if stage.kept:
        module = predictors.get(path)
        return _with_state(path, stage, module) if module is not None else ServedPredictor(path, stage)
    if not stage.texts:
        raise BundleError(
            f"{exported.name} was exported by an older t0dspy, whose versions cannot be run by this one. Export the "
            "program again; `t0dspy export` adds a version with the same prompts."
        )
    predict = predictors[path]
    signature = signature_of(predict)
    adapters = adapters_of(version.form, version.adapter)
    lm = lm_of(predict) or default_lm(version.lms, stage)
    prompts = [
        Prompt(static_text(each, signature, predict.demos, lm), Arguments(signature, text))
        for each, text in zip(adapters, stage.texts, strict=True)
    ]
    return ServedPredictor(path, stage, prompts, signature, list(predict.demos))
