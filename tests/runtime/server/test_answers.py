"""Whatever a program returns is served as DSPy returned it, or refused with the name of the field."""

import dataclasses
import json
from collections import namedtuple
from typing import Any

import dspy
import numpy
import pydantic
import pytest

from t0dspy.errors import ProgramError
from t0dspy.runtime.server.answers import answer_text


class Report(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    answer: str = ""
    score: int = pydantic.Field(0, alias="theScore")


@dataclasses.dataclass
class Pair:
    answer: str
    score: int


class Plain:
    def __init__(self) -> None:
        self.answer, self.score, self._hidden = "a", 1, "x"

    def method(self) -> None: ...


Named = namedtuple("Named", ["answer", "score"])

ANY: dict[str, Any] = {}
TEXT = {"type": "string"}
INTEGER = {"type": "integer"}


def schema(*required: str, **properties: Any) -> dict[str, Any]:
    """An output schema."""
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


ONE = schema("answer", answer=ANY)
TWO = schema("answer", "score", answer=TEXT, score=INTEGER)
OPTIONAL = schema(answer=TEXT, score=INTEGER)

SERVED = [
    ("text", schema("answer", answer=TEXT), {"answer": "text"}),
    (7, ONE, {"answer": 7}),
    (None, ONE, {"answer": None}),
    (None, OPTIONAL, {}),
    (["a", 1], ONE, {"answer": ["a", 1]}),
    (("a", {"b": (1,)}), ONE, {"answer": ["a", {"b": [1]}]}),
    ({"answer": "a", "score": 1, "more": 2}, TWO, {"answer": "a", "score": 1}),
    ({"left": 1}, ONE, {"answer": {"left": 1}}),
    (Report(answer="a", theScore=1, more=2), ONE, {"answer": {"answer": "a", "theScore": 1, "more": 2}}),
    (Pair("a", 1), TWO, {"answer": "a", "score": 1}),
    (Pair("a", 1), schema("answer", answer=TEXT), {"answer": "a"}),
    (Plain(), TWO, {"answer": "a", "score": 1}),
    (Named("a", 1), TWO, {"answer": "a", "score": 1}),
    (dspy.Prediction(answer="a", score=1, more=2), TWO, {"answer": "a", "score": 1}),
    (dspy.Prediction(answer="a"), OPTIONAL, {"answer": "a"}),
    (dspy.Example(answer="a", score=1), TWO, {"answer": "a", "score": 1}),
    (dspy.Prediction(answer=dspy.Prediction(a=[dspy.Prediction(b=1)])), ONE, {"answer": {"a": [{"b": 1}]}}),
    (dspy.Prediction(answer=Plain()), ONE, {"answer": {"answer": "a", "score": 1}}),
    (dspy.Prediction(answer=[numpy.int64(3), numpy.array([1.5])]), ONE, {"answer": [3, [1.5]]}),
    (dspy.Prediction(answer=248), schema("answer", answer={"type": "integer", "maximum": 100}), {"answer": 248}),
    (
        dspy.Prediction(answer=-1),
        schema("answer", answer={"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}]}),
        {"answer": -1},
    ),
]


@pytest.mark.parametrize(("returned", "outputs", "served"), SERVED, ids=lambda value: type(value).__name__)
def test_returns_that_are_served(returned: Any, outputs: Any, served: dict[str, Any]) -> None:
    """Fields of predictions, dicts and objects are outputs; any other value is the only output. Bounds do not count."""
    assert json.loads(answer_text(returned, outputs, "json", "p v1")) == served


REFUSED = [
    ("secret", TWO, "p v1 returned str, but its exported schema has answer, score."),
    (dspy.Prediction(answer="secret"), TWO, "p v1 returned no 'score', which its exported schema has."),
    (
        dspy.Prediction(answer=["secret"], score=1),
        TWO,
        "p v1 returned an output that does not fit its exported schema: answer breaks 'type'.",
    ),
    (
        dspy.Prediction(answer=[float("nan")]),
        ONE,
        "p v1 returned NaN or infinity in 'answer', which JSON",
    ),
]


@pytest.mark.parametrize(("returned", "outputs", "reason"), REFUSED)
def test_returns_that_are_refused(returned: Any, outputs: Any, reason: str) -> None:
    """The message names the field and no values."""
    with pytest.raises(ProgramError) as caught:
        answer_text(returned, outputs, "json", "p v1")
    assert str(caught.value).startswith(reason)
    assert "secret" not in str(caught.value)
