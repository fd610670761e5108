"""The inputs of a predictor's call, and the prompt state of the version that answers it."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import dspy
from pydantic_core import PydanticUndefined

from t0dspy.transport.prompt import ServedPredictor

_PRIVILEGED = ("signature", "demos", "config", "lm")
"""Keywords of a predictor's call that are not inputs."""


@dataclass(frozen=True)
class Bound:
    """A deployed predictor or kept module, as it was when it was deployed."""

    path: str
    """DSPy's path in the exported program."""
    signature: type[dspy.Signature] | None = None
    demos: Sequence[Any] = field(default=())
    """A copy, so that a demo that the program changes in place is noticed."""


def bind_predictor(path: str, predict: dspy.Predict) -> Bound:
    """Return the `Bound` of `predict` as it is now."""
    return Bound(path, cast("type[dspy.Signature]", predict.signature), copy.deepcopy(list(predict.demos)))


def call_inputs(module: dspy.Module, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the input fields in a predictor's call, with the defaults that DSPy fills in."""
    inputs = {name: value for name, value in kwargs.items() if name not in _PRIVILEGED}
    signature: Any = kwargs.get("signature") or getattr(module, "signature", None)
    for name, info in getattr(signature, "input_fields", {}).items():
        if name not in inputs and info.default is not PydanticUndefined:
            inputs[name] = info.default
    return inputs


def with_version_state(
    bound: Bound, predictor: ServedPredictor, module: dspy.Module, kwargs: dict[str, Any]
) -> dict[str, Any]:
    """Return the keywords of a call with the instructions and demos of the version that answers.

    A signature or demos that the program set at run time stay, so that the transport compares them with the export.
    """
    if predictor.signature is None or not isinstance(module, dspy.Predict):
        return kwargs
    changed = dict(kwargs)
    if "signature" not in kwargs and module.signature is bound.signature:
        changed["signature"] = predictor.signature
    if "demos" not in kwargs and list(module.demos) == list(bound.demos):
        changed["demos"] = predictor.demos
    return changed
