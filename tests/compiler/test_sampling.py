"""Models and sampling settings: what a variant holds, what its `extra_body` holds, and what neither holds."""

from typing import Any

import dspy
import pytest

from t0dspy.artifact.lms import LmIdentity, identity_of
from t0dspy.compiler.sampling import Sampling, connection_keys, sampling_of, shorthand_of


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
    assert sampling_of(None, config) == Sampling(keys)


@pytest.mark.parametrize(
    ("config", "extra", "omitted"),
    [
        ({"n": 3}, {"n": 3}, ()),
        ({"num_generations": 2}, {"num_generations": 2}, ()),
        ({"logit_bias": {"1": 2}, "top_k": 5}, {"logit_bias": {"1": 2}, "top_k": 5}, ()),
        ({"logprobs": True, "user": "me"}, {"logprobs": True, "user": "me"}, ()),
        ({"temperature": "warm"}, {"temperature": "warm"}, ()),
        ({"max_tokens": 1.5, "seed": True}, {"max_tokens": 1.5, "seed": True}, ()),
        ({"stop": [1]}, {"stop": [1]}, ()),
        ({"logit_bias": {1: object()}}, {}, ("logit_bias",)),
        ({"aws_secret_access_key": "sk-x"}, {}, ("aws_secret_access_key",)),
    ],
)
def test_settings_that_a_variant_has_no_key_for(
    config: dict[str, Any], extra: dict[str, Any], omitted: tuple[str, ...]
) -> None:
    """They are no reason to refuse a program, because DSPy sends them itself; an unknown name may be a secret's."""
    assert sampling_of(None, config) == Sampling({}, extra, omitted)


def test_a_predictors_config_wins_over_its_lm() -> None:
    """As in DSPy, setting by setting."""
    both = sampling_of(lm(temperature=0.1, max_tokens=5), {"temperature": 0.9})
    assert both.keys == {"temperature": 0.9, "max_tokens": 5}


def test_the_newer_spelling_of_max_tokens_wins_where_it_is_set_last() -> None:
    """A config's `max_completion_tokens` replaces the LM's `max_tokens`."""
    assert sampling_of(lm(max_tokens=5), {"max_completion_tokens": 9}).keys == {"max_tokens": 9}


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
    assert shorthand_of(identity_of(lm(model))) == (shorthand, "")


@pytest.mark.parametrize(
    ("identity", "reason"),
    [
        (LmIdentity("openai/x", address="http://h/v1"), "it has an address of its own (api_base)"),
        (LmIdentity("bedrock/x"), "there is no TensorZero shorthand for it"),
        (LmIdentity("gpt-4o"), "there is no TensorZero shorthand for it"),
    ],
)
def test_an_lm_that_stands_for_no_shorthand(identity: LmIdentity, reason: str) -> None:
    """An address or an unknown provider leaves it open which model answers."""
    shorthand, why = shorthand_of(identity)
    assert shorthand is None
    assert why.startswith(reason)


def test_connection_settings_are_told_by_name() -> None:
    """Names of what stays out, never values; what says nothing about a provider is not worth a word."""
    secret = lm(api_key="sk-x", api_base="http://h", cache=False)
    assert connection_keys(secret, {"extra_headers": {"a": "b"}, "rollout_id": 1}) == [
        "api_base",
        "api_key",
        "extra_headers",
    ]
