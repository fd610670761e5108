"""Whether an example still fits what the exported program promises."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import jsonschema

from t0dspy.flywheel.curate.step import Examples, Sieved, sieve
from t0dspy.flywheel.example import PulledExample
from t0dspy.model import Schema


@dataclass(frozen=True)
class Schemas:
    """The JSON schemas of a function, and of its stages by DSPy's path of their predictors."""

    inputs: Schema
    outputs: Schema
    stages: "Mapping[str, Schemas]" = field(default_factory=dict)


def fitting(examples: Examples, schemas: Schemas) -> Sieved:
    """Drops what does not fit `schemas`; of an example that fits, the stages that do not are left out.

    A stage that `schemas` does not know is left out as well, unless it knows none.
    """
    fits = _Fits(schemas)
    sieved = sieve(examples, fits.why_not)
    kept = [replace(one, stages=tuple(filter(fits.stage, one.stages))) if one.stages else one for one in sieved.kept]
    left_out = sum(len(old.stages) - len(new.stages) for old, new in zip(sieved.kept, kept, strict=True))
    return Sieved(kept, sieved.dropped, {"stage left out: does not fit its contract": left_out} if left_out else {})


class _Fits:
    def __init__(self, schemas: Schemas) -> None:
        self.inputs = jsonschema.Draft202012Validator(schemas.inputs)
        self.outputs = jsonschema.Draft202012Validator(schemas.outputs)
        self.stages = {path: _Fits(one) for path, one in schemas.stages.items()}

    def why_not(self, one: PulledExample) -> str | None:
        if not self.inputs.is_valid(one.inputs):
            return "input does not fit the contract"
        if one.outputs is not None and not self.outputs.is_valid(one.outputs):
            return "output does not fit the contract"
        return None

    def stage(self, one: PulledExample) -> bool:
        if not self.stages:
            return True
        known = self.stages.get(one.predictor or "")
        return known is not None and known.why_not(one) is None
