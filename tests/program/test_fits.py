"""Whether code still fits a version."""

from pathlib import Path
from typing import Any

import dspy
import pytest

from support.rendering import tree_of
from t0dspy.artifact.exported import ExportedProgram
from t0dspy.program.fits import differences


class Two(dspy.Module):
    def __init__(self, **steps: str) -> None:
        super().__init__()
        for name, signature in steps.items():
            setattr(self, name, dspy.Predict(signature))


BEFORE = {"plan": "question -> steps: list[str]", "write": "steps: list[str] -> answer"}

CHANGES: list[tuple[dict[str, str], list[str]]] = [
    (BEFORE, []),
    ({"plan": BEFORE["plan"]}, ["the predictor 'write' no longer exists"]),
    ({**BEFORE, "check": "answer -> ok: bool"}, ["the predictor 'check' is new"]),
    ({**BEFORE, "plan": "question: int -> steps: list[str]"}, ["the inputs of 'plan' are different"]),
    ({**BEFORE, "plan": "question -> steps"}, ["the outputs of 'plan' are different"]),
    (
        {**BEFORE, "plan": "question, more -> steps: list[str], extra"},
        ["the inputs of 'plan' are different", "the outputs of 'plan' are different"],
    ),
]


@pytest.mark.parametrize(("now", "found"), CHANGES)
def test_changed_predictors_are_told(now: dict[str, str], found: list[str]) -> None:
    """What was renamed, added, or given other fields is named; a changed prompt fits."""
    manifest, files = tree_of(Two(**BEFORE), stages_only=True)
    program: Any = Two(**now)
    program.plan.signature = program.plan.signature.with_instructions("other words")
    exported = ExportedProgram(Path(manifest.name), manifest, files)
    assert differences(program, exported, "v1") == found
