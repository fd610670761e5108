"""Choose how an exported function of type json makes the provider answer with JSON."""

import json
from contextlib import suppress
from typing import Any

import dspy
from dspy.clients.engines.lm15_engine import LM15Engine
from dspy.lm15 import RouterConfig

from t0dspy.compiler.schema import output_schema


def json_mode_of(signature: type[dspy.Signature], adapter: dspy.Adapter, lm: Any) -> dict[str, Any]:
    """Return the variant keys that make a provider answer with JSON, as DSPy does where TOML can hold it.

    Args:
        signature: the predictor's signature.
        adapter: the adapter of the export, which writes JSONAdapter text.
        lm: the predictor's LM in DSPy; None if no LM is set.
    """
    body = captured_body(signature, adapter, lm) if isinstance(lm, dspy.LM) else None
    if body is None or not fits_toml(body.get("response_format", {})):
        return {"json_mode": output_schema(signature)[1]}
    if "response_format" not in body:  # DSPy's catalog does not know the model, so that DSPy sends none
        return {"json_mode": "off"}
    return {"json_mode": "off", "extra_body": [{"pointer": "/response_format", "value": body["response_format"]}]}


def captured_body(signature: type[dspy.Signature], adapter: dspy.Adapter, lm: dspy.LM) -> dict[str, Any] | None:
    """Return the body that DSPy would send for a call without inputs; None if it would not be OpenAI's API."""
    capture = _Capture()
    with dspy.context(disable_history=True), suppress(Exception):
        adapter(_capturing(lm, capture), {}, signature, [], {})
    return capture.body


def _capturing(lm: dspy.LM, capture: "_Capture") -> dspy.LM:
    """Return an LM with the name and the capabilities of `lm` that hands its requests to `capture`."""
    engine: Any = LM15Engine(
        RouterConfig(
            api_keys={"openai-chat": "none"},
            base_urls={"openai-chat": "http://127.0.0.1:1/v1"},
            transport=capture,
        )
    )
    for name in ("supports_function_calling", "supports_reasoning", "supports_response_schema", "supported_params"):
        setattr(engine, name, getattr(lm, name))
    return dspy.LM(lm.model, model_type=lm.model_type, cache=False, num_retries=0, engine=engine)


class _Capture:
    """A transport that keeps the request and sends nothing."""

    def __init__(self) -> None:
        self.body: dict[str, Any] | None = None

    def stream(self, request: Any) -> Any:
        """Keep the body of `request`, and raise."""
        if str(request.url).partition("?")[0].endswith("/chat/completions"):
            self.body = json.loads(request.body)
        raise ConnectionError("this request is not sent")


def fits_toml(value: Any) -> bool:
    """Return whether TOML can hold `value`, which must have no null and no integer beyond 64 bits."""
    if isinstance(value, dict):
        return all(map(fits_toml, value.values()))
    if isinstance(value, list):
        return all(map(fits_toml, value))
    return value is not None and not (isinstance(value, int) and abs(value) >= 2**63)
