"""A predictor's LM and config -> the model and the sampling settings of a variant."""

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
"""What DSPy calls a setting -> what a variant calls it."""

_NUMBERS = {"temperature", "top_p", "presence_penalty", "frequency_penalty"}
_INTEGERS = {"max_tokens", "max_completion_tokens", "seed"}

CONNECTION_KEYS = frozenset(
    (
        *("api_key", "api_base", "base_url", "api_version", "headers", "extra_headers", "organization", "model_list"),
        *("timeout", "num_retries", "cache", "rollout_id", "azure_ad_token", "aws_region_name", "vertex_project"),
    )
)
"""Where and how to reach a provider: the model's own table in tensorzero.toml says that, and secrets stay out."""

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
    """One sampling setting that a variant cannot carry, and why."""

    name: str
    reason: str


def variant_settings(lm: Any, config: Mapping[str, Any]) -> tuple[dict[str, Any], list[Setting]]:
    """The variant keys for what a predictor's `config` and its `lm` (None for none) set, and what cannot be carried.

    The predictor's config wins over its LM, as in DSPy. Unset (None) values stay out.
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
    """Names, never values, of connection settings that stay out of the export."""
    quiet = {"cache", "num_retries", "rollout_id"}
    set_here = {**getattr(lm, "kwargs", {}), **config}
    return sorted(name for name in set_here.keys() & (CONNECTION_KEYS - quiet) if set_here[name] is not None)


def shorthand_of(lm: Any, config: Mapping[str, Any]) -> tuple[str | None, str]:
    """The TensorZero shorthand for the model that `lm` calls under a predictor's `config`, or None and the reason."""
    if lm is None:
        return None, "it has no LM of its own and none is configured"
    name = str(getattr(lm, "model", ""))
    provider, _, model = name.partition("/")
    wanted = {**getattr(lm, "kwargs", {}), **config}
    address = next((key for key in ("api_base", "base_url") if wanted.get(key)), None)
    if address:
        return None, f"its LM {name!r} is called at an address of its own ({address}), which no shorthand stands for"
    if getattr(lm, "model_type", "chat") != "chat":
        return None, f"its LM {name!r} is of model_type {lm.model_type!r}, and the gateway's call is a chat completion"
    if not model or provider not in _SHORTHANDS:
        return None, f"there is no TensorZero shorthand for its LM {name!r}"
    return f"{_SHORTHANDS[provider]}::{model}", ""


def _why_not(name: str, value: Any) -> str:
    shown = f"is {value!r}" if isinstance(value, int | float) else f"is a {type(value).__name__}"  # no secrets
    if name in ("n", "num_generations"):
        return f"asks for {value!r} completions a call, and the gateway answers with one"
    if name not in VARIANT_KEYS:
        return "has no counterpart in a TensorZero variant"
    if name in _INTEGERS and (isinstance(value, bool) or not isinstance(value, int)):
        return f"{shown}, not an integer"
    if name in _NUMBERS and (isinstance(value, bool) or not isinstance(value, int | float)):
        return f"{shown}, not a number"
    if name == "stop" and not _are_texts(value):
        return f"{shown}, not a text or a list of texts"
    texts = name in ("reasoning_effort", "service_tier", "verbosity")
    return f"{shown}, not a text" if texts and not isinstance(value, str) else ""


def _are_texts(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(one, str) for one in value))
