"""The frozen list: what may differ between two request bodies, and that nothing else may."""

from typing import Any

import pytest

from t0dspy.parity import wire

BODY: dict[str, Any] = {
    "model": "m",
    "messages": [{"role": "system", "content": "Be brief.\nAlways."}, {"role": "user", "content": "Hello"}],
    "temperature": 0.7,
    "max_completion_tokens": 10,
    "stop": ["a", "b"],
    "seed": 1,
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "response", "strict": True, "schema": {"properties": {"a": {}, "b": {}}}},
    },
}


def changed(**changes: Any) -> dict[str, Any]:
    return {**BODY, **changes}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in BODY.items() if key != name}


def with_schema(schema: dict[str, Any]) -> dict[str, Any]:
    inner = {**BODY["response_format"]["json_schema"], "schema": schema}
    return changed(response_format={"type": "json_schema", "json_schema": inner})


@pytest.mark.parametrize(
    "other",
    [
        dict(reversed(BODY.items())),
        changed(stream=False),
        changed(temperature=0.699999988079071),
        {**without("max_completion_tokens"), "max_tokens": 10},
    ],
    ids=["order of the body's keys", "stream false", "temperature in 32 bits", "spelling of max_tokens"],
)
def test_the_frozen_list_is_allowed(other: dict[str, Any]) -> None:
    """Each allowed difference alone leaves two bodies equal, from either side, and the diff empty."""
    assert wire.equal(BODY, other)
    assert wire.equal(other, BODY)
    assert wire.difference(wire.normal(BODY), wire.normal(other)) == ""


@pytest.mark.parametrize(
    "other",
    [
        changed(user="x"),
        changed(tools=[]),
        changed(logprobs=None),
        changed(stream=True),
        changed(stream=None),
        changed(stream=0),
        changed(temperature=0.701),
        changed(temperature=None),
        without("temperature"),
        changed(max_completion_tokens=11),
        changed(max_tokens=10),
        changed(seed=1.0),
        changed(seed=True),
        changed(stop=["b", "a"]),
        changed(stop="a"),
        changed(model="other"),
        changed(messages=BODY["messages"][:1]),
        changed(messages=BODY["messages"][::-1]),
        changed(messages=[BODY["messages"][0], {"role": "user", "content": "Hello "}]),
        changed(messages=[BODY["messages"][0], {"role": "user", "content": [{"type": "text", "text": "Hello"}]}]),
        changed(messages=[BODY["messages"][0], {"role": "user", "content": "Hello", "name": "x"}]),
        changed(response_format={"type": "json_object"}),
        without("response_format"),
        with_schema({"properties": {"b": {}, "a": {}}}),
        with_schema({"properties": {"a": {}, "b": {"type": "string"}}}),
    ],
    ids=lambda other: repr({key: value for key, value in other.items() if BODY.get(key) != value})[:50],
)
def test_nothing_else_is_allowed(other: dict[str, Any]) -> None:
    """Any other difference is a mismatch, and shows in the diff."""
    assert not wire.equal(BODY, other)
    assert not wire.equal(other, BODY)
    assert wire.difference(BODY, other)


def test_the_diff_shows_the_line_that_differs() -> None:
    """A message is compared line by line, with characters that no terminal shows written out."""
    other = changed(messages=[{"role": "system", "content": "Be brief.\nAlways.\u200b"}, BODY["messages"][1]])
    lines = wire.difference(BODY, other).splitlines()
    assert [line for line in lines if line.startswith(("-", "+"))] == [
        "--- DSPy directly",
        "+++ through the gateway",
        "-Always.",
        "+Always.\\u200b",
    ]
