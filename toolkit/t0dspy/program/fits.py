"""Check whether a program's code still fits a version: the same predictors with the same contracts."""

import dspy

from t0dspy.artifact.exported import ExportedProgram
from t0dspy.artifact.manifest import same_contract
from t0dspy.compiler.introspect import signature_of
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
    texts = []
    predictors = dict(live.named_predictors())
    entries = exported.manifest.versions[version].predictors
    for path, entry in entries.items():
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
    return texts + [f"the predictor {path!r} is new" for path in predictors if path not in entries]
