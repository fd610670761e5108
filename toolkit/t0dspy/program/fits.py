"""Check whether a program's code still fits a version: the same predictors with the same contracts."""

import dspy

from t0dspy.artifact.exported import ExportedProgram
from t0dspy.artifact.manifest import same_contract
from t0dspy.compiler.introspect import signature_of
from t0dspy.compiler.keep import paths_of
from t0dspy.compiler.schema import input_schema, output_schema


def differences(live: dspy.Module, exported: ExportedProgram, version: str) -> list[str]:
    """Return how the predictors of a program differ from those of an exported version; empty if the code fits.

    Args:
        live: the live program.
        exported: the exported program, for the schemas.
        version: one of its versions.

    Raises:
        HandEditedError: if a schema file is missing or damaged.
    """
    texts: list[str] = []
    predictors = dict(live.named_predictors())
    entries = exported.manifest.versions[version].predictors
    kept = {path for path, entry in entries.items() if entry.kept}
    modules = paths_of(live) if kept else {}
    covered = {id(inner) for path in kept & modules.keys() for inner in paths_of(modules[path]).values()}
    texts += [f"the kept module {path!r} no longer exists" for path in sorted(kept - modules.keys())]
    for path, entry in entries.items():
        if path in kept:
            continue
        if path not in predictors:
            texts.append(f"the predictor {path!r} no longer exists")
            continue
        signature, recorded = signature_of(predictors[path]), exported.schemas(entry.function)
        now = {"inputs": input_schema(signature), "outputs": output_schema(signature)[0]}
        texts += [
            f"the {side} of {path!r} are different"
            for (side, schema), before in zip(now.items(), recorded, strict=True)
            if not same_contract(schema, before)
        ]
    new = [path for path, predict in predictors.items() if path not in entries and id(predict) not in covered]
    return texts + [f"the predictor {path!r} is new" for path in new]
