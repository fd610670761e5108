"""A field that gets a type after the first export keeps its documented contract."""

from pathlib import Path
from typing import Any

import dspy
import pytest

import t0dspy
from t0dspy.artifact.exported import ExportedProgram
from t0dspy.errors import ContractError


def made(forward: Any) -> dspy.Module:
    """A program with `forward`."""
    kind = type("Program", (dspy.Module,), {"forward": forward, "__module__": __name__})
    program = kind()
    program.ask = dspy.Predict("question, style -> answer")
    return program


def untyped(self, question, style="plain", more=None):
    asked = self.ask(question=question, style=style)
    return dspy.Prediction(answer=asked.answer, more=more)


def typed(self, question: str, style: str = "plain", more: list[str] | None = None):
    asked = self.ask(question=question, style=style)
    return dspy.Prediction(answer=asked.answer, more=len(more or []))


def renamed(self, question: str, tone: str = "plain", more: list[str] | None = None):
    asked = self.ask(question=question, style=tone)
    return dspy.Prediction(answer=asked.answer, more=len(more or []))


def defaulted(self, question: str, style: str = "formal", more: list[str] | None = None):
    asked = self.ask(question=question, style=style)
    return dspy.Prediction(answer=asked.answer, more=len(more or []))


@pytest.mark.usefixtures("project")
def test_types_that_are_added_later() -> None:
    """They are no breaking change, and clients may send what they could send; other changes stay breaking."""
    options: dict[str, Any] = {"name": "p", "model": "openai::m", "verify": False}
    t0dspy.export(made(untyped), "configs", **options)
    before = ExportedProgram.read(Path("configs"), "p").schemas("p")
    assert before[0]["properties"]["more"] == {"default": None}
    assert t0dspy.export(made(typed), "configs", **options).name == "p"
    assert ExportedProgram.read(Path("configs"), "p").schemas("p") == before
    for other in (renamed, defaulted):
        with pytest.raises(ContractError, match="would change the contract of p"):
            t0dspy.export(made(other), "configs", **options)
