"""Whether a program's code still fits a version: the same predictors with the same contracts."""

from collections.abc import Mapping

import dspy

from t0dspy.artifact.bundle import read_json
from t0dspy.artifact.manifest import Manifest, same_contract
from t0dspy.compiler.introspect import signature_of
from t0dspy.compiler.schema import input_schema, output_schema


def misfits(program: dspy.Module, manifest: Manifest, version: str, files: Mapping[str, str]) -> list[str]:
    """How the predictors of `program` differ from those of an exported `version`; empty when the code fits.

    Args:
        program: the live program.
        manifest: of the exported program.
        version: one of its versions.
        files: the exported tree, path -> text, for the schemas.
    """
    found = []
    live = dict(program.named_predictors())
    entries = manifest.versions[version].predictors
    for path, entry in entries.items():
        if path not in live:
            found.append(f"there is no predictor {path!r} any more")
            continue
        function, signature = manifest.functions[entry.function], signature_of(live[path])
        now = {"inputs": input_schema(signature), "outputs": output_schema(signature)[0]}
        recorded = {"inputs": function.input_schema, "outputs": function.output_schema}
        found += [
            f"the {what} of {path!r} are others"
            for what, schema in now.items()
            if not same_contract(schema, read_json(files, recorded[what], manifest.name))
        ]
    return found + [f"there is a new predictor {path!r}" for path in live if path not in entries]
