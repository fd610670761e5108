"""Programs that return something other than a prediction are exported and served, with nothing to state."""

import sys
from pathlib import Path
from typing import Any

import pytest

import t0dspy
from support.served import ProgramServer, Served, answer, failure

PROGRAMS = """
import dataclasses
from typing import TypedDict
import dspy
import pydantic

class Report(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    title: str
    tags: list[str] = []

class Parts(TypedDict):
    left: str
    right: int

class Base(dspy.Module):
    def __init__(self):
        super().__init__()
        self.ask = dspy.Predict("question -> answer")
        self.rate = dspy.Predict(dspy.Signature("text -> x").append("rating", dspy.OutputField(ge=0, le=100), int))

class Text(Base):
    def forward(self, question: str) -> str:
        return question.upper()

class Async(Base):
    async def aforward(self, question: str, times: int = 2):
        return dspy.Prediction(answer=question * times)

class Pair(Base):
    def forward(self, question: str):
        return question, len(question)

class Model(Base):
    def forward(self, report: Report) -> Report:
        return Report(title=report.title + "!", more=[1, (2,)])

class Dict(Base):
    def forward(self, question: str) -> Parts:
        return {"left": question, "right": 1}

class Nested(Base):
    def forward(self, question):
        inner = dspy.Prediction(a=question, b=[1])
        return dspy.Prediction(inner=inner, question=question)

class Rated(Base):
    def forward(self, text: str):
        if not text:
            return dspy.Prediction(rating=self.rate(text=text).rating)
        return dspy.Prediction(rating=248)

class Sometimes(Base):
    def forward(self, question: str):
        if question:
            return dspy.Prediction(answer=question)

text, asynchronous, pair, model, parts = Text(), Async(), Pair(), Model(), Dict()
nested, rated, sometimes = Nested(), Rated(), Sometimes()
"""

CALLS: list[tuple[str, dict[str, Any], Any]] = [
    ("text", {"question": "abc"}, {"answer": "ABC"}),
    ("asynchronous", {"question": "ab"}, {"answer": "abab"}),
    ("asynchronous", {"question": "ab", "times": 3}, {"answer": "ababab"}),
    ("pair", {"question": "abc"}, {"answer": ["abc", 3]}),
    ("model", {"report": {"title": "t"}}, {"answer": {"title": "t!", "tags": [], "more": [1, [2]]}}),
    ("parts", {"question": "abc"}, {"left": "abc", "right": 1}),
    ("nested", {"question": ["x", 1]}, {"inner": {"a": ["x", 1], "b": [1]}, "question": ["x", 1]}),
    ("rated", {"text": "t"}, {"rating": 248}),
    ("sometimes", {"question": "q"}, {"answer": "q"}),
    ("sometimes", {"question": ""}, {}),
]


def test_what_programs_return(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The contract is read from the code, and each value arrives as its outputs. A failure names the field."""
    monkeypatch.syspath_prepend(str(project))
    monkeypatch.delitem(sys.modules, "returning", raising=False)
    (project / "returning.py").write_text(PROGRAMS)
    for name in {name for name, _, _ in CALLS}:
        t0dspy.export(f"returning:{name}", "configs", name=name, model="openai::m", verify=False)
    with ProgramServer(Served(project, None), gateway_url="http://127.0.0.1:1", PYTHONPATH=".") as server:
        for name, arguments, outputs in CALLS:
            assert answer(server.run(f"{name}/v1", arguments=arguments)) == outputs
        status, kind, message = failure(server.run("text/v1", arguments={"question": 3}))
    assert (status, kind) == (500, "ProgramError")
    assert message.startswith("the input 'question' of text v1 is not accepted by its type")
