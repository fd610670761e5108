"""The example's program and its offline model."""

from collections.abc import Iterator
from typing import Any

import dspy
import pytest

from examples.spec_to_review.offline.server import answer
from support.example import Run
from t0dspy.testing import ScriptedUpstream


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
