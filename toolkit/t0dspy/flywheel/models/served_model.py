"""Read which models serve a version, as the gateway's config and as DSPy name them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from t0dspy.artifact import user_config

_PREFIXES = {
    "anthropic": "anthropic",
    "deepseek": "deepseek",
    "fireworks": "fireworks_ai",
    "google_ai_studio_gemini": "gemini",
    "groq": "groq",
    "mistral": "mistral",
    "openai": "openai",
    "openrouter": "openrouter",
    "sglang": "openai",
    "tgi": "openai",
    "together": "together_ai",
    "vllm": "openai",
    "xai": "xai",
}
"""TensorZero's provider type -> the prefix of DSPy's name; types that need more than a name are absent."""


@dataclass(frozen=True)
class ServedModel:
    """A model of the gateway."""

    name: str
    """The gateway's name for it, such as `main` or `openai::gpt-4o-mini`."""
    models: tuple[str, ...]
    """The names that its providers use, in the order of its routing; empty if the config does not name them."""
    setting: Mapping[str, Any] | None = None
    """DSPy's name and address of its first provider, in the form of `task_model`; None if unknown."""
    key: str | None = field(default=None, repr=False)
    """The secret for that provider, if DSPy does not find it in the environment."""


def served_model(configs: Path, name: str, environment: Mapping[str, str]) -> ServedModel:
    """Read which model the gateway's model `name` calls.

    Args:
        configs: the directory of TensorZero's config.
        name: a model of the config, or a shorthand such as `openai::gpt-4o-mini`.
        environment: the environment variables, which hold the providers' keys.
    """
    table = user_config.models(configs).get(name)
    providers = _shorthand(name) if table is None else _providers(table)
    models = tuple(str(provider.get("model_name") or name) for provider in providers)
    if not providers:
        return ServedModel(name, models)
    return ServedModel(name, models, _setting(providers[0], models[0]), _key(providers[0], environment))


def is_served_by(served: Iterable[ServedModel], model: str) -> bool:
    """Return whether DSPy's `model`, such as `openai/gpt-4o-mini`, is the same model as every one in `served`.

    A model of the gateway whose providers are unknown counts as the same.
    """
    bare = model.partition("/")[2] or model
    return all(not each.models or {bare, model} & set(each.models) for each in served)


def _shorthand(name: str) -> list[Mapping[str, Any]]:
    kind, _, model = name.partition("::")
    return [{"type": kind, "model_name": model}] if model else []


def _providers(table: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    providers, routing = table.get("providers"), table.get("routing")
    if not isinstance(providers, dict):
        return []
    order = routing if isinstance(routing, list) else list(providers)
    return [
        providers[provider]
        for provider in order
        if isinstance(provider, str) and isinstance(providers.get(provider), dict)
    ]


def _setting(provider: Mapping[str, Any], model: str) -> dict[str, Any] | None:
    prefix = _PREFIXES.get(str(provider.get("type")))
    if prefix is None:
        return None
    address = provider.get("api_base")
    return {"model": f"{prefix}/{model}"} | ({"api_base": address} if isinstance(address, str) else {})


def _key(provider: Mapping[str, Any], environment: Mapping[str, str]) -> str | None:
    location = provider.get("api_key_location")
    if location == "none":
        return "none"
    if provider.get("type") == "google_ai_studio_gemini" and location is None:
        location = "env::GOOGLE_AI_STUDIO_API_KEY"
    if not isinstance(location, str) or not location.startswith("env::"):
        return None
    return environment.get(location.removeprefix("env::"))
