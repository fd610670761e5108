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
"""Maps the provider of a shorthand model to the variable that tensorzero 2026.6.0 reports if it is not set."""


def missing_key(model: str, locations: Mapping[str, str], environment: Mapping[str, str]) -> str | None:
    """Return the environment variable that `model` needs and that is not set; None if nothing is missing.

    Models that the config defines are not checked, because the gateway refuses a config whose keys are missing.

    Args:
        model: the name of a TensorZero model.
        locations: the key locations that the config sets, by provider; see `configured_locations`.
        environment: the environment of the gateway.
    """
    provider, shorthand, _ = model.partition("::")
    if not shorthand:
        return None
    location = locations.get(provider)
    variable = PROVIDER_KEYS.get(provider) if location is None else _variable(location)
    return variable if variable and not environment.get(variable) else None


def configured_locations(configs: Path) -> dict[str, str]:
    """Return the key locations that `[provider_types.PROVIDER.defaults]` below `configs` sets, by provider."""
    locations: dict[str, str] = {}
    for path in toml_files(configs):
        try:
            types = tomllib.loads(path.read_text(encoding="utf-8")).get("provider_types", {})
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError):  # the gateway reports it
            continue
        for provider, table in types.items() if isinstance(types, dict) else ():
            location = _default_location(table)
            if location is not None:
                locations[provider] = location
    return locations


def _default_location(table: Any) -> str | None:
    """Return the location; "none" if the config also names a fallback, between which only the gateway chooses."""
    defaults = table.get("defaults") if isinstance(table, dict) else None
    if not isinstance(defaults, dict):
        return None
    location = defaults.get("api_key_location", defaults.get("credential_location"))
    return "none" if isinstance(location, dict) else location if isinstance(location, str) else None


def _variable(location: str) -> str | None:
    kind, _, name = location.partition("::")
    return name if kind in ("env", "path_from_env") else None
