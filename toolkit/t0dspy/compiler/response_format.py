"""Choose how an exported function of type json makes the provider answer with JSON."""

from typing import Any

import dspy

from t0dspy.compiler.schema import output_schema


def json_mode_of(signature: type[dspy.Signature], adapter: dspy.Adapter, lm: Any) -> dict[str, Any]:
    """Return the variant keys that make a provider answer with JSON.

    Args:
        signature: the predictor's signature.
        adapter: the adapter of the export, which writes JSONAdapter text.
        lm: the predictor's LM in DSPy; None if no LM is set.
    """
    return {"json_mode": output_schema(signature)[1]}
