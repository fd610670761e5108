"""The reasons why a program cannot be compiled."""

from typing import Any

import dspy

from support.rendering import MODEL
from t0dspy.compiler.compile import compile_program
from t0dspy.errors import CompileError
from t0dspy.model import PromptForm


def refusals(program: dspy.Module, **options: Any) -> list[str]:
    """Every reason why `program` cannot be compiled, as its user reads them."""
    try:
        compile_program(program, form=PromptForm(), model=MODEL, **{"stages_only": True, **options})
    except CompileError as caught:
        error = caught
    else:
        return []
    assert all(
        refusal.location and refusal.reason.endswith(".") and refusal.remedy.endswith(".") for refusal in error.refusals
    )
    assert all(str(one) in str(error) for one in error.refusals)
    return [str(one) for one in error.refusals]


class Base(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.step = dspy.Predict("question -> answer")
        self.steps = [dspy.Predict("question -> answer")]


class Directly(Base):
    def forward(self, question: str) -> Any:
        return dspy.ChainOfThought("question -> answer")(question=self.step(question=question).answer)
