"""Text values: the schema that takes them, and the values behind them."""

import json
from typing import Any

import dspy
import jsonschema
import pytest

from t0dspy.artifact.text_values import accept_text, text_value, to_plain, without_text
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
