"""Any value for any field reaches the provider as DSPy prints it, typed or as text."""

import dataclasses
import datetime
import enum
from collections.abc import Iterator
from typing import Any, Literal

import dspy
import pydantic
import pytest

from support.rendering import formatted, served
from t0dspy.compiler import adapters
from t0dspy.model import PromptForm, Text
from t0dspy.parity.inputs import WILD
from t0dspy.parity.runs import quiet_dspy
from t0dspy.testing import ScriptedUpstream


class Point(pydantic.BaseModel):
    x: float
    label: str | None = None
    tags: list[str] = []


@dataclasses.dataclass
class Pair:
    z: int
    a: str = "é"


class Color(enum.Enum):
    RED = "red"
    THREE = 3


ANNOTATIONS: dict[str, Any] = {
    "s": str,
    "i": int,
    "f": float,
    "b": bool,
    "any": Any,
    "d": dict[str, Any],
    "p": Point,
    "e": Color,
    "dc": Pair,
    "ls": list[str],
    "li": list[int],
    "lp": list[Point],
    "t": tuple[int, str],
    "dt": datetime.datetime,
    "os": str | None,
    "op": Point | None,
    "lit": Literal["a", "b"],
    "un": int | list[Point],
}
OWN = (Point(x=1.0, label="<é>"), {"x": 1, "tags": ["t"], "label": "l"}, Color.THREE, Pair(2), "red", "2024-01-02", 7.0)


@pytest.fixture(scope="module")
def recorder() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as upstream, quiet_dspy():
        yield upstream


@pytest.mark.parametrize("text", ["chat", "json", "xml"])
def test_any_value_prints_as_in_dspy(text: Text, recorder: ScriptedUpstream) -> None:
    """Whatever DSPy can print for a field is what the provider gets; so is a field that is left out."""
    program = dspy.Module()
    fields = {name: {"v": (kind, dspy.InputField()), "answer": (str, dspy.OutputField())} for name, kind in _kinds()}
    program.steps = {name: dspy.Predict(dspy.make_signature(parts)) for name, parts in fields.items()}
    program.steps["untyped"] = dspy.Predict("v -> answer")
    adapter, compared = adapters.make_adapter(PromptForm(text), {}), 0
    with served(program, recorder, PromptForm(text), stages_only=True) as gateway:
        for name, predict in program.steps.items():
            for inputs in _inputs():
                try:
                    stock = formatted(adapter, predict.signature, [], inputs)
                except Exception:  # DSPy itself cannot print it
                    continue
                assert gateway.messages(f"steps[{name!r}]", predict.signature, inputs) == stock, (name, inputs)
                compared += 1
    assert compared > 600


def _kinds() -> list[tuple[str, Any]]:
    return list(ANNOTATIONS.items())


def _inputs() -> Iterator[dict[str, Any]]:
    yield {}
    for value in (*WILD[:-1], *OWN):
        yield {"v": value}
