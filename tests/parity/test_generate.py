"""The generator of inputs: what it makes fits the schema, and reaches the corners that a user's values reach."""

import random
import re

import dspy
import jsonschema
import pytest
from pydantic import BaseModel, ConfigDict

from t0dspy.compiler.schema import input_schema
from t0dspy.parity.generate import Generator, NoFittingValue
from t0dspy.parity.patterns import fitting_text

PATTERNS = [
    r"^[A-Z]{2}\d{6}$",
    r"^(?:EUR|USD) -?\d+(\.\d{2})?$",
    r"^[^\s@]+@[^\s@]+\.[a-z]{2,}$",
    r"^\w+(-\w+)*?$",
    r"[^abc]x.",
    r"^(?!0+$)\d{3}$",
    r"^(a|b|)\S\D\W$",
    r"\bword\b",
]


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")

    source: str


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_text_is_found_for_a_pattern(pattern: str) -> None:
    """A field with a pattern is compared like any other, not skipped."""
    chosen = random.Random(pattern)
    texts = {fitting_text(pattern, chosen) for _ in range(50)} - {None}
    assert texts
    assert all(re.search(pattern, text) for text in texts if text)


def test_a_pattern_that_nothing_matches_is_named() -> None:
    """What cannot be generated is reported as skipped, with its reason."""
    with pytest.raises(NoFittingValue, match="pattern 'x\\^y'"):
        Generator({}, random.Random(1)).value({"type": "string", "pattern": "x^y"})


def test_open_models_get_keys_that_they_do_not_declare() -> None:
    """A model that allows extra keys is tried with some, and every value fits its schema."""
    schema = input_schema(dspy.Signature({"extras": (Open, dspy.InputField()), "answer": (str, dspy.OutputField())}))
    generator = Generator(schema, random.Random(1))
    values = [*generator.edges(), *(generator.arguments() for _ in range(50))]
    for value in values:
        jsonschema.validate(value, schema)
    assert any(len(value["extras"]) > 1 for value in values)
