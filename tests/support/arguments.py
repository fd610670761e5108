"""The typed arguments that a client without our runtime sends."""

from collections.abc import Mapping
from typing import Any

import dspy
from dspy.adapters.utils import serialize_for_json


def json_arguments(signature: type[dspy.Signature], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs as JSON; unknown names are dropped, as in DSPy."""
    return {name: serialize_for_json(inputs[name]) for name in signature.input_fields if name in inputs}
