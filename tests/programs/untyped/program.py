"""Fields without a type, as in string signatures, and fields of any type: passages come in lists."""

from typing import Any

import dspy


class Merge(dspy.Signature):
    """Merge what two catalogues say of one book."""

    first: Any = dspy.InputField()
    second: dict = dspy.InputField()
    shelf: list = dspy.InputField()
    marks: dict[str, Any] = dspy.InputField()
    merged: dict[str, Any] = dspy.OutputField()
    leftovers: Any = dspy.OutputField()


class Library(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.answer = dspy.ChainOfThought("context, question -> answer")
        self.merge = dspy.Predict(Merge)

    def forward(self, context: list[str], question: str) -> dspy.Prediction:
        return self.answer(context=context, question=question)


program = Library()
