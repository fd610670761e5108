"""Check whether examples still fit the schemas of the exported program."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import jsonschema

from t0dspy.flywheel.curate.step import Examples, StepResult, sieve
from t0dspy.flywheel.example import PulledExample
from t0dspy.model import Schema


@dataclass(frozen=True)
class Schemas:
    """The JSON schemas of a function, and those of its stages by the DSPy path of their predictors."""

    inputs: Schema
    outputs: Schema
    stages: "Mapping[str, Schemas]" = field(default_factory=dict)


def drop_misfits(examples: Examples, schemas: Schemas) -> StepResult:
    """Drop the examples that do not fit `schemas`, and remove the stages that do not fit from the others.

    A stage without a schema is removed too, unless `schemas` has no stages at all.
    """
    check = _SchemaCheck(schemas)
    result = sieve(examples, check.drop_reason)
    kept = [
        replace(example, stages=tuple(filter(check.is_stage_valid, example.stages))) if example.stages else example
        for example in result.kept
    ]
    left_out = sum(len(old.stages) - len(new.stages) for old, new in zip(result.kept, kept, strict=True))
    return StepResult(kept, result.dropped, {"stage left out: does not fit its contract": left_out} if left_out else {})


class _SchemaCheck:
    def __init__(self, schemas: Schemas) -> None:
        self.inputs = jsonschema.Draft202012Validator(schemas.inputs)
        self.outputs = jsonschema.Draft202012Validator(schemas.outputs)
        self.stages = {path: _SchemaCheck(stage) for path, stage in schemas.stages.items()}

    def drop_reason(self, example: PulledExample) -> str | None:
        if not self.inputs.is_valid(example.inputs):
            return "input does not fit the contract"
        if example.outputs is not None and not self.outputs.is_valid(example.outputs):
            return "output does not fit the contract"
        return None

    def is_stage_valid(self, stage: PulledExample) -> bool:
        if not self.stages:
            return True
        known = self.stages.get(stage.predictor or "")
        return known is not None and known.drop_reason(stage) is None
