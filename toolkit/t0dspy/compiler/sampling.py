"""Translate a predictor's LM and config to the model and the sampling settings of a variant."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True)
class Setting:
    """A sampling setting that a variant does not support, and the reason."""

    name: str
    reason: str


def variant_settings(lm: Any, config: Mapping[str, Any]) -> tuple[dict[str, Any], list[Setting]]:
    """Return the variant keys for a predictor's `config` and `lm` (None if unset), and the unsupported settings.

    The predictor's config overrides its LM, as in DSPy. Values of None are omitted.
    """
    wanted = {**getattr(lm, "kwargs", {}), **config}
    settings: dict[str, Any] = {}
    refused = []
    for name, value in wanted.items():
        if value is None or name in CONNECTION_KEYS or (name in ("n", "num_generations") and value == 1):
            continue
        reason = _why_not(name, value)
        if reason:
            refused.append(Setting(name, reason))
        else:
            settings[VARIANT_KEYS[name]] = [value] if name == "stop" and isinstance(value, str) else value
    return settings, refused


def connection_keys(lm: Any, config: Mapping[str, Any]) -> list[str]:
    """Return the names, never the values, of connection settings that the export omits."""
    quiet = {"cache", "num_retries", "rollout_id"}
    set_here = {**getattr(lm, "kwargs", {}), **config}
    return sorted(name for name in set_here.keys() & (CONNECTION_KEYS - quiet) if set_here[name] is not None)


def shorthand_of(lm: Any, config: Mapping[str, Any]) -> tuple[str | None, str]:
    """Return TensorZero's shorthand for the model that `lm` and `config` select, or None and the reason."""
    if lm is None:
        return None, "it has no LM and DSPy has no configured LM"
    name = str(getattr(lm, "model", ""))
    provider, _, model = name.partition("/")
    wanted = {**getattr(lm, "kwargs", {}), **config}
    address = next((key for key in ("api_base", "base_url") if wanted.get(key)), None)
    if address:
        return None, f"its LM {name!r} has a custom address ({address}), for which there is no shorthand"
    if getattr(lm, "model_type", "chat") != "chat":
        return None, f"its LM {name!r} is of model_type {lm.model_type!r}, but the gateway calls chat completions"
    if not model or provider not in _SHORTHANDS:
        return None, f"there is no TensorZero shorthand for its LM {name!r}"
    return f"{_SHORTHANDS[provider]}::{model}", ""


def dspy_name_of(model: str) -> str:
    """Return DSPy's name of a config model: that of a shorthand's provider, else one that DSPy's catalog lacks."""
    shorthand, _, name = model.rpartition("::")
    prefix = next((prefix for prefix, known in _SHORTHANDS.items() if known == shorthand), "openai")
    return f"{prefix}/{name}"


def _why_not(name: str, value: Any) -> str:
    shown = f"is {value!r}" if isinstance(value, int | float) else f"is a {type(value).__name__}"  # no secrets
    if name in ("n", "num_generations"):
        return f"requests {value!r} completions per call, but the gateway returns one"
    if name not in VARIANT_KEYS:
        return "has no counterpart in a TensorZero variant"
    if name in _INTEGERS and (isinstance(value, bool) or not isinstance(value, int)):
        return f"{shown}, not an integer"
    if name in _NUMBERS and (isinstance(value, bool) or not isinstance(value, int | float)):
        return f"{shown}, not a number"
    if name == "stop" and not _are_texts(value):
        return f"{shown}, not a string or a list of strings"
    texts = name in ("reasoning_effort", "service_tier", "verbosity")
    return f"{shown}, not a string" if texts and not isinstance(value, str) else ""


def _are_texts(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(text, str) for text in value))
