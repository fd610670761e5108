"""Models and sampling settings: carried over exactly, or refused by name."""

from typing import Any

import dspy
import pytest

from t0dspy.compiler.sampling import connection_keys, shorthand_of, variant_settings


def lm(model: str = "openai/gpt-4o-mini", **kwargs: Any) -> dspy.LM:
    return dspy.LM(model, **kwargs)


CARRIED = [
    ({"temperature": 0.7}, {"temperature": 0.7}),
    ({"temperature": 0}, {"temperature": 0}),
    ({"max_tokens": 100}, {"max_tokens": 100}),
    ({"max_completion_tokens": 100}, {"max_tokens": 100}),
    ({"stop": "x"}, {"stop_sequences": ["x"]}),
    ({"stop": ["x", "{{"]}, {"stop_sequences": ["x", "{{"]}),
    (
        {"top_p": 0.5, "presence_penalty": 1, "frequency_penalty": -1.0},
        {"top_p": 0.5, "presence_penalty": 1, "frequency_penalty": -1.0},
    ),
    ({"seed": 7, "reasoning_effort": "low"}, {"seed": 7, "reasoning_effort": "low"}),
    ({"service_tier": "flex", "verbosity": "low"}, {"service_tier": "flex", "verbosity": "low"}),
    ({"n": 1, "temperature": None, "rollout_id": 3, "cache": False}, {}),
]


@pytest.mark.parametrize(("config", "keys"), CARRIED)
def test_settings_that_a_variant_carries(config: dict[str, Any], keys: dict[str, Any]) -> None:
    """What DSPy would send stands in the variant under the gateway's name for it."""
    assert variant_settings(None, config) == (keys, [])


def test_a_predictors_config_wins_over_its_lm() -> None:
    """As in DSPy, setting by setting."""
    both = variant_settings(lm(temperature=0.1, max_tokens=5), {"temperature": 0.9})
    assert both == ({"temperature": 0.9, "max_tokens": 5}, [])


def test_the_newer_spelling_of_max_tokens_wins_where_it_is_set_last() -> None:
    """A config's `max_completion_tokens` replaces the LM's `max_tokens`."""
    assert variant_settings(lm(max_tokens=5), {"max_completion_tokens": 9}) == ({"max_tokens": 9}, [])


SHORTHANDS = [
    ("openai/gpt-4o-mini", "openai::gpt-4o-mini"),
    ("anthropic/claude-x", "anthropic::claude-x"),
    ("openai/ft:gpt-4o:org::id", "openai::ft:gpt-4o:org::id"),
    ("openrouter/meta/llama", "openrouter::meta/llama"),
    ("together_ai/a/b", "together::a/b"),
    ("gemini/g", "google_ai_studio_gemini::g"),
]


@pytest.mark.parametrize(("model", "shorthand"), SHORTHANDS)
def test_an_lm_stands_for_a_shorthand(model: str, shorthand: str) -> None:
    """The predictor's own LM names its model at the gateway."""
    assert shorthand_of(lm(model), {}) == (shorthand, "")


def test_an_address_in_a_predictors_config_counts_too() -> None:
    """A predictor that calls somewhere else than its LM stands for no shorthand."""
    found, reason = shorthand_of(lm(), {"api_base": "http://secret-host"})
    assert found is None
    assert "a custom address (api_base)" in reason
    assert "secret-host" not in reason


def test_connection_settings_are_told_by_name() -> None:
    """Names of what stays out, never values; what says nothing about a provider is not worth a word."""
    secret = lm(api_key="sk-x", api_base="http://h", cache=False)
    assert connection_keys(secret, {"extra_headers": {"a": "b"}, "rollout_id": 1}) == [
        "api_base",
        "api_key",
        "extra_headers",
    ]
