"""Examples to curate."""

import random
import string
from typing import Any

from t0dspy.flywheel.curate.curate import Curated, CurateOptions
from t0dspy.flywheel.example import PulledExample

QUIET = CurateOptions(caps=(), limit=None)
FLOOR = CurateOptions(caps=(), limit=None, floor={"accepted": 1}, gold="required")


def text(seed: int, size: int = 80) -> str:
    return "".join(random.Random(seed).choices(string.ascii_letters + "  ", k=size))


def example(question: Any, answer: Any = "a", user: str | None = None, **more: Any) -> PulledExample:
    given = {"outputs": {"answer": answer}, "model_outputs": {"answer": answer}, **more}
    return PulledExample(inputs={"question": question}, tags={"user_id": user} if user else {}, **given)


def rated(question: Any, value: bool, answer: Any = "a", user: str | None = None, **more: Any) -> PulledExample:
    return example(question, answer, user, metrics={"accepted": value}, **more)


def demonstrated(question: Any, answer: Any, **more: Any) -> PulledExample:
    return example(question, answer, demonstration=True, **{"model_outputs": {"answer": "model"}, **more})


def contents(curated: Curated) -> list[Any]:
    return [(one.inputs, one.outputs) for one in curated.kept]
