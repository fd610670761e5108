"""Check that the gateway can carry what DSPy would send for an LM. This depends on the internals of DSPy 3.4."""

import os
from typing import Any

import dspy
from dspy.clients import execution
from dspy.clients.engines.lm15_engine import LM15Engine


def why_unusable(lm: Any) -> str | None:
    """Return why no model of the gateway can stand for `lm`, without a full stop; None if one can."""
    if not isinstance(lm, dspy.LM):
        return f"is a {type(lm).__name__}, not a plain dspy.LM, so the gateway cannot send its requests"
    if not isinstance(getattr(lm, "_engine_spec", None), str):
        return "has an engine of its own, whose requests the gateway cannot send"
    if lm.model_type != "chat":
        return f"is of model_type {lm.model_type!r}, but the gateway calls chat completions"
    return None


def why_not_carried(lm: dspy.LM) -> str | None:
    """Return why the runtime cannot send the requests of `lm` through the gateway; None if it can.

    Functions that the gateway serves alone do not need this, because then the gateway writes the request.
    """
    prefix = lm.model.partition("/")[0].upper()
    try:
        call = execution.prepare(lm, None, [{"role": "user", "content": "x"}], {})
        backend, _, _ = execution._select_engine(lm, call, False)
    except Exception as error:  # DSPy's own checks raise many kinds
        return f"cannot send its requests with DSPy's own engine ({error})"
    if not isinstance(backend, LM15Engine):
        if any(os.getenv(f"{prefix}_{name}") for name in ("API_BASE", "BASE_URL")):
            return None  # the reason may be this environment, and the program may be served in another
        return "sends its requests through LiteLLM or code of its own, because of its engine, provider or an option"
    return None
