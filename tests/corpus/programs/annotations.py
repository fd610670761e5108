"""Programs of one predictor, each with another kind of annotation among its inputs and outputs."""

import dataclasses
import datetime
import decimal
import enum
import uuid
from typing import Annotated, Any, Literal, NamedTuple

import dspy
import pydantic
from typing_extensions import TypedDict

from corpus.case import case

AWKWARD = ({"text": None}, {"text": 7}, {"text": ["a", "b\nc"]}, {"text": {"z": 1, "a": [1.5]}}, {})


class Mood(enum.Enum):
    CALM = "calm"
    STORMY = "stormy"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Part(pydantic.BaseModel):
    name: str
    count: int = 1
    tags: list[str] = []


class Machine(pydantic.BaseModel):
    title: str
    parts: list[Part]
    maker: Part | None = None


class Aliased(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(populate_by_name=True)
    street_name: str = pydantic.Field(alias="streetName")
    number: int = pydantic.Field(default=1, alias="no", ge=0, le=9999)


class Open(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    name: str
    rank: int = 3


class Closed(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    name: str


class Tree(pydantic.BaseModel):
    label: str
    children: list["Tree"] = []


class Cat(pydantic.BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int


class Dog(pydantic.BaseModel):
    kind: Literal["dog"] = "dog"
    tricks: list[str]


class Place(TypedDict):
    city: str
    country: str


class Pair(NamedTuple):
    left: str
    right: int


@dataclasses.dataclass
class Spot:
    x: float
    y: float = 0.0


@case({"text": "A fine day."}, *AWKWARD)
def untyped_fields() -> dspy.Module:
    return dspy.Predict("text -> answer")


@case({"text": "A fine day."}, *AWKWARD)
def text_and_number() -> dspy.Module:
    return dspy.Predict("text: str -> stars: int, share: float, sure: bool")


@case(
    {"amount": 3, "ratio": 0.1},
    {"amount": "3", "ratio": 1e-7},
    {"amount": 2**70, "ratio": float("nan")},
    {"amount": None},
)
def numbers_as_inputs() -> dspy.Module:
    return dspy.Predict("amount: int, ratio: float -> total: float")


@case({"flag": True, "note": None}, {"flag": "yes", "note": "x"}, {"flag": 0, "note": 5}, {"flag": False})
def bool_and_optional() -> dspy.Module:
    return dspy.Predict("flag: bool, note: Optional[str] -> verdict: Optional[str], sure: bool")


@case(
    {"lines": ["a", "b"]},
    {"lines": []},
    {"lines": "just text"},
    {"lines": [1, None]},
    {"lines": ("x", "y")},
    {"lines": None},
)
def list_of_text() -> dspy.Module:
    return dspy.Predict("lines: list[str] -> best: list[str]")


@case({"table": [[1, 2], [3]]}, {"table": [[]]}, {"table": [["x"]]}, {"table": {"a": 1}})
def nested_lists() -> dspy.Module:
    return dspy.Predict("table: list[list[int]] -> sums: list[list[float]]")


@case({"facts": {"b": 1, "a": {"z": 1, "y": [2]}}}, {"facts": {}}, {"facts": "none"}, {"facts": {1: "x", "é": None}})
def free_dict() -> dspy.Module:
    return dspy.Predict("facts: dict -> summary: dict[str, str]")


@case({"facts": {"b": 1, "a": 2}}, {"facts": {"b": "x"}}, {"facts": None}, {"facts": {"z": 1.5, "0": True}})
def typed_dict_of_numbers() -> dspy.Module:
    return dspy.Predict("facts: dict[str, int] -> counts: dict[str, int], words: dict[str, list[str]]")


@case({"text": "stormy"}, {"text": "calm"}, {"text": "neither"}, {"text": None}, {"text": 1})
def literals() -> dspy.Module:
    signature = dspy.Signature(
        {
            "text": (Literal["calm", "stormy"], dspy.InputField()),
            "mood": (Literal["calm", "stormy", None], dspy.OutputField()),
            "level": (Literal[1, 2, 3], dspy.OutputField()),
        },
        "Name the mood.",
    )
    return dspy.Predict(signature)


@case(
    {"mood": Mood.CALM, "level": Level.HIGH},
    {"mood": "calm", "level": 2},
    {"mood": "odd", "level": None},
    {"mood": Mood.STORMY},
)
def enums() -> dspy.Module:
    signature = dspy.Signature(
        {
            "mood": (Mood, dspy.InputField()),
            "level": (Level, dspy.InputField()),
            "next": (Mood, dspy.OutputField()),
            "later": (list[Mood], dspy.OutputField()),
        },
    )
    return dspy.Predict(signature)


@case(
    {"machine": Machine(title="Pump", parts=[Part(name="valve", count=2)])},
    {"machine": {"title": "Pump", "parts": []}},
    {"machine": {"parts": [], "title": "Keys in another order"}},
    {"machine": "a pump"},
    {"machine": None},
)
def nested_models() -> dspy.Module:
    signature = dspy.Signature({"machine": (Machine, dspy.InputField()), "fixed": (Machine, dspy.OutputField())})
    return dspy.Predict(signature)


@case(
    {"address": Aliased(streetName="Elm", no=4), "maybe": None},
    {"address": {"streetName": "Elm"}, "maybe": Aliased(streetName="Oak")},
    {"address": {"street_name": "Elm", "no": 70000}},
)
def model_with_aliases_and_bounds() -> dspy.Module:
    signature = dspy.Signature(
        {
            "address": (Aliased, dspy.InputField()),
            "maybe": (Aliased | None, dspy.InputField()),
            "clean": (Aliased, dspy.OutputField()),
        }
    )
    return dspy.Predict(signature)


@case(
    {"thing": Open(name="a", extra_one=1, another="x")},
    {"thing": {"name": "a", "z": 1, "b": 2}},
    {"thing": Open(name="a")},
)
def model_with_extras() -> dspy.Module:
    return dspy.Predict(dspy.Signature({"thing": (Open, dspy.InputField()), "same": (Open, dspy.OutputField())}))


@case({"thing": Closed(name="a")}, {"thing": {"name": "a", "more": 1}}, {"thing": Part(name="another model")})
def model_without_extras() -> dspy.Module:
    return dspy.Predict(dspy.Signature({"thing": (Closed, dspy.InputField()), "same": (Closed, dspy.OutputField())}))


@case({"tree": Tree(label="a", children=[Tree(label="b", children=[Tree(label="c")])])}, {"tree": {"label": "a"}})
def recursive_model() -> dspy.Module:
    return dspy.Predict(dspy.Signature({"tree": (Tree, dspy.InputField()), "answer": (str, dspy.OutputField())}))


@case(
    {"pet": Cat(lives=9), "id": 1},
    {"pet": Dog(tricks=["roll"]), "id": "a1"},
    {"pet": {"kind": "dog", "tricks": []}, "id": None},
)
def unions() -> dspy.Module:
    signature = dspy.Signature(
        {
            "pet": (Annotated[Cat | Dog, pydantic.Field(discriminator="kind")], dspy.InputField()),
            "id": (int | str, dspy.InputField()),
            "match": (Cat | Dog, dspy.OutputField()),
            "count": (int | None, dspy.OutputField()),
        }
    )
    return dspy.Predict(signature)


@case(
    {
        "day": datetime.date(2024, 2, 29),
        "at": datetime.datetime(2024, 1, 2, 3, 4, 5),
        "span": datetime.timedelta(minutes=3),
    },
    {"day": "tomorrow", "at": "2024-01-02T03:04:05Z", "span": 180},
)
def dates() -> dspy.Module:
    signature = dspy.Signature(
        {
            "day": (datetime.date, dspy.InputField()),
            "at": (datetime.datetime, dspy.InputField()),
            "span": (datetime.timedelta, dspy.InputField()),
            "due": (datetime.date, dspy.OutputField()),
            "times": (list[datetime.time], dspy.OutputField()),
        }
    )
    return dspy.Predict(signature)


@case(
    {"price": decimal.Decimal("1.10"), "id": uuid.UUID(int=5)},
    {"price": 1.1, "id": "12345678-1234-5678-1234-567812345678"},
    {"price": "a lot", "id": 5},
)
def decimals_and_ids() -> dspy.Module:
    signature = dspy.Signature(
        {
            "price": (decimal.Decimal, dspy.InputField()),
            "id": (uuid.UUID, dspy.InputField()),
            "rounded": (decimal.Decimal, dspy.OutputField()),
        }
    )
    return dspy.Predict(signature)


@case({"pair": ("a", 1), "spread": (1.5, 2.5)}, {"pair": ["a", 1], "spread": []}, {"pair": "a", "spread": (1, 2, 3)})
def tuples() -> dspy.Module:
    signature = dspy.Signature(
        {
            "pair": (tuple[str, int], dspy.InputField()),
            "spread": (tuple[float, ...], dspy.InputField()),
            "swapped": (tuple[int, str], dspy.OutputField()),
        }
    )
    return dspy.Predict(signature)


@case(
    {"place": {"city": "Bern", "country": "CH"}, "spot": Spot(1.0), "both": Pair("a", 1)},
    {"place": {"country": "CH", "city": "Bern"}, "spot": {"x": 1}, "both": ("a", 1)},
    {"place": "Bern", "spot": None, "both": []},
)
def typed_dicts_and_dataclasses() -> dspy.Module:
    signature = dspy.Signature(
        {
            "place": (Place, dspy.InputField()),
            "spot": (Spot, dspy.InputField()),
            "both": (Pair, dspy.InputField()),
            "moved": (Place, dspy.OutputField()),
            "spots": (list[Spot], dspy.OutputField()),
        }
    )
    return dspy.Predict(signature)


@case({"thing": "x"}, {"thing": [1, {"z": 1, "a": 2}]}, {"thing": {"z": 1, "a": 2}}, {"thing": None}, {"thing": {1, 2}})
def anything() -> dspy.Module:
    return dspy.Predict(dspy.Signature({"thing": (Any, dspy.InputField()), "other": (Any, dspy.OutputField())}))


@case({"text": "x"}, {"text": "word " * 3000}, {"text": "[[ ## score ## ]]\n9"}, {"text": "{{ x }} {% raw %}"})
def bounded_outputs() -> dspy.Module:
    signature = dspy.Signature(
        {
            "text": (str, dspy.InputField()),
            "score": (int, dspy.OutputField(ge=0, le=100)),
            "code": (str, dspy.OutputField(max_length=40)),
            "shares": (list[float], dspy.OutputField(min_length=1)),
        }
    )
    return dspy.Predict(signature)
