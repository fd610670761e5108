"""Translate a predictor's LM and config to the model and the sampling settings of a variant."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from t0dspy.artifact.lms import LmIdentity

VARIANT_KEYS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "seed": "seed",
    "stop": "stop_sequences",
    "reasoning_effort": "reasoning_effort",
    "service_tier": "service_tier",
    "verbosity": "verbosity",
}
"""DSPy's name of a setting -> its name in a variant."""

_NUMBERS = {"temperature", "top_p", "presence_penalty", "frequency_penalty"}
_INTEGERS = {"max_tokens", "max_completion_tokens", "seed"}

CONNECTION_KEYS = frozenset(
    (
        *("api_key", "api_base", "base_url", "api_version", "headers", "extra_headers", "organization", "model_list"),
        *("timeout", "num_retries", "cache", "rollout_id", "azure_ad_token", "aws_region_name", "vertex_project"),
        *("project", "extra_query", "custom_llm_provider", "azure_ad_token_provider", "prompt_cache"),
    )
)
"""Settings to reach a provider. The model's table in tensorzero.toml has them, and secrets must not be exported."""

_SHORTHANDS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "mistral": "mistral",
    "deepseek": "deepseek",
    "groq": "groq",
    "xai": "xai",
    "openrouter": "openrouter",
    "fireworks_ai": "fireworks",
    "together_ai": "together",
    "hyperbolic": "hyperbolic",
    "gemini": "google_ai_studio_gemini",
}
"""DSPy's provider prefix -> TensorZero's shorthand for the same provider."""


PROVIDER_KEYS = frozenset(
    (
        *("logit_bias", "logprobs", "top_logprobs", "top_k", "top_a", "min_p", "user", "metadata", "store"),
        *("safety_identifier", "prompt_cache_key", "prediction", "modalities", "audio", "parallel_tool_calls"),
        *("tool_choice", "response_format", "web_search_options", "repetition_penalty", "moderation", "provider"),
    )
)
"""Settings that a provider gets as they are, for which a variant has no key. Other names may be those of secrets."""

NOT_IN_VARIANTS = frozenset(("n", "num_generations"))
"""Settings that the gateway refuses even in `extra_body`, because it returns one answer."""


@dataclass(frozen=True)
class Sampling:
    """The settings of a predictor, divided by the way in which a variant holds them."""

    keys: Mapping[str, Any] = field(default_factory=dict)
    """Variant keys and values."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Settings under the names that the provider gets, for which a variant has no key: they go to `extra_body`."""
    omitted: tuple[str, ...] = ()
    """Names of settings that a variant cannot hold at all."""


def sampling_of(lm: Any, config: Mapping[str, Any]) -> Sampling:
    """Return the settings that a predictor's `config` and `lm` (None if unset) give a call.

    The predictor's config overrides its LM, as in DSPy. Values of None are omitted.
    """
    keys: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    omitted = []
    for name, value in {**getattr(lm, "kwargs", {}), **config}.items():
        if value is None or name in CONNECTION_KEYS or (name in ("n", "num_generations") and value == 1):
            continue
        if _fits_variant(name, value):
            keys[VARIANT_KEYS[name]] = [value] if name == "stop" and isinstance(value, str) else value
        elif name in VARIANT_KEYS.keys() | PROVIDER_KEYS | NOT_IN_VARIANTS and _is_json(value):
            extra[name] = value
        else:
            omitted.append(name)
    return Sampling(keys, extra, tuple(omitted))


def lm_state_of(lm: Any) -> dict[str, Any]:
    """Return the name, type and sampling settings of `lm` as DSPy saves them, without anything to reach a provider."""
    settings = {name: value for name, value in lm.kwargs.items() if name in VARIANT_KEYS and _fits_variant(name, value)}
    return {"model": lm.model, "model_type": lm.model_type, **settings}


def connection_keys(lm: Any, config: Mapping[str, Any]) -> list[str]:
    """Return the names, never the values, of connection settings that the export omits."""
    quiet = {"cache", "num_retries", "rollout_id"}
    set_here = {**getattr(lm, "kwargs", {}), **config}
    return sorted(name for name in set_here.keys() & (CONNECTION_KEYS - quiet) if set_here[name] is not None)


def shorthand_of(lm: LmIdentity) -> tuple[str | None, str]:
    """Return TensorZero's shorthand for the model that certainly answers for `lm`, or None and the reason."""
    provider, _, model = lm.model.partition("/")
    if lm.address is not None:
        return None, "it has an address of its own (api_base), for which there is no shorthand"
    if not model or provider not in _SHORTHANDS:
        return None, "there is no TensorZero shorthand for it"
    return f"{_SHORTHANDS[provider]}::{model}", ""


def dspy_name_of(model: str) -> str:
    """Return DSPy's name of a config model: that of a shorthand's provider, else one that DSPy's catalog lacks."""
    shorthand, _, name = model.rpartition("::")
    prefix = next((prefix for prefix, known in _SHORTHANDS.items() if known == shorthand), "openai")
    return f"{prefix}/{name}"


def _fits_variant(name: str, value: Any) -> bool:
    if name in _NUMBERS:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if name in _INTEGERS:
        return isinstance(value, int) and not isinstance(value, bool)
    if name == "stop":
        return _are_texts(value)
    return name in VARIANT_KEYS and isinstance(value, str)


def _are_texts(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(text, str) for text in value))


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True
