"""The call that a predictor makes right now: what the transport must know beside the bytes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import dspy

from t0dspy.gateway import Inference
from t0dspy.transport.prompt import ServedPredictor

SETTING = "t0dspy_call"
"""The key of the call in DSPy's settings, which `dspy.Parallel` and asyncio pass on."""


@dataclass
class PredictorCall:
    """One call of a deployed predictor or kept module."""

    predictor: ServedPredictor
    inputs: Mapping[str, Any]
    """The values of the input fields, with DSPy's defaults filled in; not used for a kept predictor."""
    inferences: list[Inference] = field(default_factory=list)
    """The answers so far: several for `n` candidates, the JSON fallback, or a kept module."""


def current_call() -> PredictorCall | None:
    """Return the call of a deployed predictor that the calling code is part of; None outside of one."""
    call: PredictorCall | None = dspy.settings.get(SETTING)
    return call
