"""The environment variables that hold the keys of shorthand models, such as `openai::gpt-4o-mini`."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from t0dspy.artifact.user_config import toml_files

PROVIDER_KEYS = {
    "anthropic": "ANTHROPIC_API_KEY",
    "deepseek": "DEEPSEEK_API_KEY",
    "fireworks": "FIREWORKS_API_KEY",
    "gcp_vertex_anthropic": "GCP_VERTEX_CREDENTIALS_PATH",
    "gcp_vertex_gemini": "GCP_VERTEX_CREDENTIALS_PATH",
    "google_ai_studio_gemini": "GOOGLE_AI_STUDIO_API_KEY",
    "groq": "GROQ_API_KEY",
    "hyperbolic": "HYPERBOLIC_API_KEY",
    "mistral": "MISTRAL_API_KEY",
    "openai": "OPENAI_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
    "together": "TOGETHER_API_KEY",
    "xai": "XAI_API_KEY",
}
"""Provider of a shorthand model -> the variable that it reads, as tensorzero 2026.6.0 answers when it is not set."""


def missing_key(model: str, locations: Mapping[str, str], environment: Mapping[str, str]) -> str | None:
    """Return the environment variable that `model` needs and that is not set; None where nothing is missing.

    A model that the config defines is not asked about: without its keys the gateway does not load the config at all.

    Args:
        model: the name of a TensorZero model.
        locations: provider -> the key's location, where the config sets one; see `configured_locations`.
        environment: the environment of the gateway.
    """
    provider, shorthand, _ = model.partition("::")
    if not shorthand:
        return None
    location = locations.get(provider)
    variable = PROVIDER_KEYS.get(provider) if location is None else _variable(location)
    return variable if variable and not environment.get(variable) else None


def configured_locations(configs: Path) -> dict[str, str]:
    """Return provider -> the key location that `[provider_types.PROVIDER.defaults]` below `configs` sets."""
    found: dict[str, str] = {}
    for path in toml_files(configs):
        try:
            types = tomllib.loads(path.read_text(encoding="utf-8")).get("provider_types", {})
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError):  # the gateway reports it
            continue
        for provider, table in types.items() if isinstance(types, dict) else ():
            location = _default_location(table)
            if location is not None:
                found[provider] = location
    return found


def _default_location(table: Any) -> str | None:
    """One location; where the config names a fallback too, only the gateway knows which of the two holds: none."""
    defaults = table.get("defaults") if isinstance(table, dict) else None
    if not isinstance(defaults, dict):
        return None
    location = defaults.get("api_key_location", defaults.get("credential_location"))
    return "none" if isinstance(location, dict) else location if isinstance(location, str) else None


def _variable(location: str) -> str | None:
    kind, _, name = location.partition("::")
    return name if kind in ("env", "path_from_env") else None
