"""Signature fields as JSON Schema: what is accepted, what is refused, and in which order."""

import dataclasses
import datetime
import enum
import json
from collections.abc import Mapping
from typing import Any, Literal

import dspy
import jsonschema
import pydantic
import pytest
from dspy.utils.exceptions import AdapterParseError
from hypothesis import given, reject
from hypothesis import strategies as st
from typing_extensions import TypedDict

from support.arguments import json_arguments
from support.strategies import PURE, RandomSignature, signatures
from t0dspy.compiler.schema import GREATEST_INTEGER, LEAST_INTEGER, input_schema, output_schema


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"


class Money(pydantic.BaseModel):
    amount: float = pydantic.Field(alias="theAmount", ge=0, description="how much")
    currency: str = "EUR"


class Tree(pydantic.BaseModel):
    label: str
    children: list["Tree"] = []


class Open(pydantic.BaseModel, extra="allow"):
    name: str


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]
    name: str


class Row(TypedDict):
    b: int
    a: str


@dataclasses.dataclass
class Point:
    y: int
    x: int = 0


def signature(annotation: Any, **options: Any) -> type[dspy.Signature]:
    """A signature with one input and one output of a type, and an output before it."""
    return dspy.make_signature(
        {
            "zeal": (annotation, dspy.InputField(**options)),
            "reasoning": (str, dspy.OutputField()),
            "answer": (annotation, dspy.OutputField(**options)),
        }
    )


def accepts(schema: Mapping[str, Any], value: Any) -> bool:
    return jsonschema.Draft202012Validator(schema).is_valid(json.loads(json.dumps(value)))


@PURE
@given(st.data(), signatures())
def test_the_input_schema_takes_every_value_that_dspy_prints(data: st.DataObject, random: RandomSignature) -> None:
    """The typed JSON of any Python value of a field's type fits the field's schema."""
    schema = input_schema(random.signature)
    arguments = json_arguments(random.signature, data.draw(random.input_values()))
    jsonschema.Draft202012Validator(schema).validate(json.loads(json.dumps(arguments)))


@PURE
@given(st.data(), signatures())
def test_the_output_schema_takes_every_clean_answer_that_dspy_reads(
    data: st.DataObject, random: RandomSignature
) -> None:
    """An answer in JSON that DSPy's parser reads without repair is one that the gateway calls parsed."""
    schema, _ = output_schema(random.signature)
    values = data.draw(random.output_values())
    answer = {
        name: pydantic.TypeAdapter(random.outputs[name].typed.annotation).dump_python(
            value, mode="json", by_alias=True, warnings=False
        )
        for name, value in values.items()
    }
    try:
        dspy.JSONAdapter().parse(random.signature, json.dumps(answer))
    except AdapterParseError:  # DSPy cannot read back a few unions of Enums and texts
        reject()  # other than a return, this fails if no example is left
    jsonschema.Draft202012Validator(schema).validate(answer)


@PURE
@given(signatures())
def test_schemas_keep_the_order_of_fields(random: RandomSignature) -> None:
    """A model answers in the order of the schema, so reasoning must come first there too."""
    assert list(input_schema(random.signature)["properties"]) == list(random.signature.input_fields)
    assert list(output_schema(random.signature)[0]["properties"]) == list(random.signature.output_fields)


@PURE
@given(signatures())
def test_equal_signatures_have_equal_schemas(random: RandomSignature) -> None:
    """Same program in, same bytes out."""
    texts = {json.dumps([input_schema(random.signature), output_schema(random.signature)]) for _ in range(3)}
    assert len(texts) == 1


REFUSED = [
    (str, [1, None, ["a"], {}, True]),
    (int, ["1", 1.5, None, True, 2**64, -(2**63)]),
    (float, ["1.0", None, [1.0], False]),
    (bool, ["true", 1, 0, None]),
    (Literal["a", 1], ["b", 2, "1", None, "A"]),
    (Colour, ["RED", "green", None]),
    (int | None, ["1", 1.5, {}]),
    (list[int], [1, ["a"], [None], {"0": 1}, [1.5]]),
    (dict[str, int], [[], {"a": "b"}, "x"]),
    (tuple[int, str], [[1], [1, "a", 2], ["a", 1], 1]),
    (datetime.date, [1, None]),
    (Money, [{}, {"amount": -1}, {"amount": 1, "more": 1}, {"theAmount": 1}, "x"]),
    (Tree, [{"label": "a", "children": [{"children": []}]}, {"label": "a", "children": {}}]),
    (Cat | Dog, [{"kind": "cat", "name": "x"}, {"kind": "cow", "lives": 1}]),
    (Row, [{"b": 1}, {"b": 1, "a": "x", "c": 1}]),
    (Point, [{"x": 1}, {"y": "a"}, [1, 2]]),
    (Open, [{}, {"other": 1}]),
]


@pytest.mark.parametrize(("annotation", "values"), REFUSED, ids=lambda one: str(one)[:40])
def test_the_input_schema_refuses_values_of_other_types(annotation: Any, values: list[Any]) -> None:
    """The gateway answers 400 instead of printing a value that the program never meant."""
    schema = input_schema(signature(annotation))
    assert [value for value in values if accepts(schema, {"zeal": value})] == []


def test_inputs_that_are_missing_or_unknown_are_refused() -> None:
    """A typing error in a field's name is found at the gateway."""
    schema = input_schema(dspy.Signature("question, context: list[str] -> answer"))
    assert not accepts(schema, {"question": "a"})
    assert not accepts(schema, {"question": "a", "context": [], "contxt": []})
    assert accepts(schema, {"question": "a", "context": []})


BOUNDS = [
    (int, {"ge": 1, "le": 5}, [1, 5], [0, 6]),
    (int, {"gt": 1, "lt": 5}, [2, 4], [1, 5]),
    (float, {"gt": 0.0, "le": 1.0}, [0.1, 1.0], [0.0, 1.1]),
    (int, {"multiple_of": 3}, [3, 0], [4]),
    (str, {"min_length": 2, "max_length": 3}, ["ab", "abc"], ["a", "abcd"]),
    (list[int], {"min_length": 1, "max_length": 2}, [[1], [1, 2]], [[], [1, 2, 3]]),
    (int | None, {"ge": 1}, [1, None], [0]),
]


@pytest.mark.parametrize(("annotation", "bounds", "inside", "outside"), BOUNDS, ids=lambda one: str(one)[:30])
def test_bounds_hold_on_both_sides(
    annotation: Any, bounds: dict[str, Any], inside: list[Any], outside: list[Any]
) -> None:
    """A field's bounds stand in the schemas of inputs and of outputs."""
    made = signature(annotation, **bounds)
    inputs, outputs = input_schema(made), output_schema(made)[0]
    for value, fits in [*((one, True) for one in inside), *((one, False) for one in outside)]:
        assert accepts(inputs, {"zeal": value}) is fits, value
        assert accepts(outputs, {"reasoning": "r", "answer": value}) is fits, value


def test_integers_end_where_the_gateway_would_make_floats_of_them() -> None:
    """Whatever bounds a field has, none lets an integer through that 64 bits cannot hold."""
    for bounds in ({}, {"ge": -(2**70)}, {"lt": 2**70}, {"gt": -(2**70), "lt": 2**70}):
        schema = input_schema(signature(int, **bounds))
        assert accepts(schema, {"zeal": LEAST_INTEGER})
        assert accepts(schema, {"zeal": GREATEST_INTEGER})
        assert not accepts(schema, {"zeal": LEAST_INTEGER - 1}), bounds
        assert not accepts(schema, {"zeal": GREATEST_INTEGER + 1}), bounds


def test_descriptions_stay_out_of_schemas() -> None:
    """Descriptions are prompt text: improving one makes a new version, not a new function."""
    text = json.dumps([input_schema(signature(Money, desc="A")), output_schema(signature(Money, desc="A"))])
    assert "description" not in text
    assert "how much" not in text
    assert "title" not in text


def test_inputs_go_by_field_names_and_outputs_by_aliases() -> None:
    """The prompt prints field names; a model answers with the names it was shown, which are aliases."""
    made = signature(Money)
    assert accepts(input_schema(made), {"zeal": {"amount": 1.0, "currency": "USD"}})
    assert accepts(output_schema(made)[0], {"reasoning": "", "answer": {"theAmount": 1.0, "currency": "USD"}})


def test_an_input_with_a_default_may_be_left_out() -> None:
    """As in DSPy, where the default fills it in; so may an input that takes None."""
    made = dspy.make_signature(
        {
            "a": (int, dspy.InputField(default=3)),
            "b": (str | None, dspy.InputField()),
            "c": (Money, dspy.InputField(default=Money(theAmount=1))),
            "out": (str, dspy.OutputField()),
        }
    )
    schema = input_schema(made)
    assert schema["required"] == []
    assert {name: one["default"] for name, one in schema["properties"].items()} == {
        "a": 3,
        "b": None,
        "c": {"amount": 1.0, "currency": "EUR"},
    }


def test_an_untyped_input_takes_a_text_or_passages() -> None:
    """People fill `context` with a list of passages, which DSPy numbers."""
    schema = input_schema(dspy.Signature("context, question -> answer"))
    assert accepts(schema, {"context": ["a", "b"], "question": "q"})
    assert accepts(schema, {"context": "a", "question": "q"})
    assert not accepts(schema, {"context": [1], "question": "q"})


STRICT = [
    str,
    int,
    float,
    bool,
    Colour,
    Literal["a", "b"],
    list[str],
    int | None,
    Money,
    Tree,
    list[Tree],
    Cat | Dog,
    Point,
]
LOOSE = [dict[str, int], Any, Open, tuple[int, str], list[Any], set[int], dict[str, Any]]


@pytest.mark.parametrize(
    ("annotation", "mode"), [*((one, "strict") for one in STRICT), *((one, "on") for one in LOOSE)]
)
def test_strict_mode_where_the_types_allow_it(annotation: Any, mode: str) -> None:
    """A provider is held to the schema where it could be, and asked for any JSON object where not."""
    schema, found = output_schema(signature(annotation))
    assert found == mode
    if mode == "strict":
        for part in [schema, *schema.get("$defs", {}).values()]:
            if "properties" in part:
                assert part["required"] == list(part["properties"])
                assert part["additionalProperties"] is False
