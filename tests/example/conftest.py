"""The example's parts, small."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dspy
import pytest

from examples.spec_to_review.offline.server import answer
from examples.spec_to_review.program import SpecToReview
from t0dspy.testing import ScriptedUpstream

DATA = Path(__file__).parents[2] / "examples/spec_to_review/data"
ADVICE = {
    "parse_spec": "Take every one of the examples into account. Mind the empty case.",
    "plan": "Give each function a section of its own.",
    "write_code": "Take every one of the examples into account. Mind the empty case. Combine several operations.",
    "write_tests": "Write down all the examples.",
    "review_all": "Run the code on all examples, and check that results agree.",
}


def rows(name: str) -> list[dict[str, Any]]:
    """A data file."""
    return [json.loads(line) for line in (DATA / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def advised(*predictors: str) -> SpecToReview:
    """The program, with good advice for some of its predictors (by default all)."""
    program = SpecToReview()
    for name in predictors or ADVICE:
        predict = getattr(program, name)
        predict.signature = predict.signature.with_instructions(f"{predict.signature.instructions} {ADVICE[name]}")
    return program


Run = Callable[..., Any]


@pytest.fixture(scope="session")
def offline() -> Iterator[ScriptedUpstream]:
    """The offline model, in this process."""
    with ScriptedUpstream(lambda request: answer(request.body["messages"])) as upstream:
        yield upstream


@pytest.fixture(params=[dspy.ChatAdapter, dspy.JSONAdapter])
def ask(request: pytest.FixtureRequest, offline: ScriptedUpstream) -> Run:
    """Runs a program on a specification, in either adapter's text."""
    lm = dspy.LM("openai/offline", api_base=offline.url, api_key="none", cache=False, engine="lm15")

    def ask(program: dspy.Module, spec: str) -> Any:
        with dspy.context(lm=lm, adapter=request.param()):
            return program(spec=spec)

    return ask
