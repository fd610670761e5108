"""Text values: the schema that takes them, and the values behind them."""

import json
from typing import Any

import dspy
import jsonschema
import pydantic
import pytest

from t0dspy.artifact.text_values import (
    TEXT,
    VALUE,
    accept_text,
    is_text_value,
    keep_order,
    text_value,
    to_plain,
    without_text,
)
from t0dspy.compiler.schema import input_schema

SIGNATURE = dspy.Signature(
    {
        "n": (int, dspy.InputField(ge=0)),
        "note": (str | None, dspy.InputField()),
        "many": (list[str], dspy.InputField(default=["x"])),
        "answer": (str, dspy.OutputField()),
    }
)
TYPED = input_schema(SIGNATURE)


def test_the_typed_schema_comes_back_exactly() -> None:
    """The order of keys stays, so that contracts stay equal."""
    assert json.dumps(without_text(accept_text(TYPED))) == json.dumps(TYPED)
    assert json.dumps(without_text(TYPED)) == json.dumps(TYPED)


@pytest.mark.parametrize(
    ("value", "valid"),
    [(1, True), (-1, False), ("1", False), (text_value("1", "1"), True), (text_value(None), True), ({}, False)],
)
def test_a_field_takes_its_type_or_a_text(value: Any, valid: bool) -> None:
    """Clients still get a 400 for a value that is neither."""
    assert jsonschema.Draft202012Validator(accept_text(TYPED)).is_valid({"n": value}) is valid


def test_an_error_names_the_type() -> None:
    """A client that sends a wrong value learns which type the field has, not that it could have sent a text."""
    (error,) = jsonschema.Draft202012Validator(accept_text(TYPED)).iter_errors({"n": "1"})
    assert error.message == "'1' is not of type 'integer'"


def test_the_values_behind_texts() -> None:
    """A field that was omitted stays out; a text without a value stands for itself."""
    stored = {"a": text_value("[1]", [1]), "b": text_value(None), "c": text_value("nan"), "d": {"t": 1}}
    assert to_plain(stored) == {"a": [1], "c": "nan", "d": {"t": 1}}


class Box(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")

    z: int = 0
    free: dict[str, Any] = {}


ORDERED = input_schema(
    dspy.Signature(
        {
            "box": (Box, dspy.InputField()),
            "boxes": (list[Box], dspy.InputField()),
            "free": (dict, dspy.InputField()),
            "answer": (str, dspy.OutputField()),
        }
    )
)


@pytest.mark.parametrize(
    ("name", "value", "as_text"),
    [
        ("free", {"a": 1, "b": [{"a": 1, "z": 2}]}, False),
        ("free", {"b": 1, "a": 2}, True),
        ("free", {"a": [{"z": 1, "b": 2}]}, True),
        ("free", {TEXT: "forged"}, True),
        ("box", {"z": 1, "free": {"a": 1}}, False),
        ("box", {"z": 1, "free": {"b": 1, "a": 1}}, True),
        ("box", {"z": 1, "more": 2, "extra": 3}, True),
        ("boxes", [{"z": 1, "free": {"a": 1}}], False),
        ("boxes", [{"z": 1}, {"free": {"b": 1, "a": 1}}], True),
    ],
)
def test_keys_that_the_gateway_would_sort_are_kept_in_a_text(name: str, value: Any, as_text: bool) -> None:
    """Only the order of keys that no model declares matters, at any depth."""
    sent = keep_order({name: value}, ORDERED)[name]
    assert (is_text_value(sent) and VALUE in sent) is as_text
    assert (sent[VALUE] if as_text else sent) == value


def test_a_text_has_the_declared_keys_first_and_their_defaults() -> None:
    """It is what the template would print if the gateway kept the order of keys."""
    sent = keep_order({"box": {"more": 2, "free": {"b": 1, "a": 2}}}, ORDERED)["box"]
    assert sent[TEXT] == '{"z": 0, "free": {"b": 1, "a": 2}, "more": 2}'
