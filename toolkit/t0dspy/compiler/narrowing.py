"""Keep the documented contract of a program whose fields got types after its first export."""

from dataclasses import replace

from t0dspy.compiler.schema import UNTYPED
from t0dspy.model import CompiledProgram, Schema


def with_documented_contract(compiled: CompiledProgram, inputs: Schema, outputs: Schema) -> CompiledProgram:
    """Return `compiled` with the schemas of its first export if it only narrows fields that had no type there.

    Clients may rely on what an untyped field accepts, so its schema stays, and the new types are no breaking change.
    A program without Python is returned unchanged, because its schemas belong to its prompt.

    Args:
        compiled: the program.
        inputs: the exported input schema.
        outputs: the exported output schema.
    """
    contract = compiled.contract
    if contract is None or compiled.direct:
        return compiled
    if _only_narrows(inputs, contract.inputs) and _only_narrows(outputs, contract.outputs):
        return replace(compiled, contract=replace(contract, inputs=inputs, outputs=outputs))
    return compiled


def _only_narrows(before: Schema, after: Schema) -> bool:
    names = list(before["properties"])
    if names != list(after["properties"]) or before["required"] != after["required"]:
        return False
    shared = [name for name in names if _resolves_alike(before["properties"][name], after["properties"][name])]
    same_types = not shared or before.get("$defs", {}).items() <= after.get("$defs", {}).items()
    return same_types and all(_narrows(before["properties"][name], after["properties"][name]) for name in names)


def _resolves_alike(before: Schema, after: Schema) -> bool:
    return before == after and "$ref" in str(before)


def _narrows(before: Schema, after: Schema) -> bool:
    """Return whether a property is the same as before, or had no type and has the same default."""
    typeless = {key: value for key, value in before.items() if key != "default"} in ({}, UNTYPED)
    same_default = before.get("default") == after.get("default") and ("default" in before) == ("default" in after)
    return before == after or (typeless and same_default)
