"""Check that the gateway can carry what DSPy would send for an LM. This depends on the internals of DSPy 3.4."""

from collections.abc import Mapping
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


def why_not_carried(lm: dspy.LM, config: Mapping[str, Any]) -> str | None:
    """Return why the runtime cannot send the requests of `lm` through the gateway; None if it can.

    Functions that only clients of the gateway call do not need this, because then the gateway writes the request.

    Args:
        lm: the LM.
        config: options of the call, such as a predictor's config.
    """
    if lm._engine_spec == "litellm":
        return "sends its requests through LiteLLM (engine='litellm')"
    try:
        native = lm.copy(engine="lm15")  # "auto" also looks at the environment, which the program server does not share
        call = execution.prepare(native, None, [{"role": "user", "content": "x"}], dict(config))
        backend, request, _ = execution._select_engine(native, call, False)
        carried = isinstance(backend, LM15Engine) and request is not None
        if isinstance(backend, LM15Engine) and request is not None:
            backend.plan(request)
    except Exception:  # DSPy's own checks raise many kinds, whose messages may hold values
        carried = False
    return None if carried else "sends its requests through LiteLLM or own code, because of its provider or an option"
