"""Programs with a contract that can be read."""

from __future__ import annotations

import dspy
import pydantic


class Review(dspy.Signature):
    """Review it."""

    spec: str = dspy.InputField()
    depth: int = dspy.InputField(ge=1)
    verdict: bool = dspy.OutputField()
    notes: list[str] = dspy.OutputField(desc="short ones")


class Verdict(pydantic.BaseModel):
    good: bool


class Steps(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.plan = dspy.Predict("spec, depth: int -> steps: list[str]")
        self.review = dspy.ChainOfThought("steps: list[str] -> verdict: bool, notes")
        self.full = dspy.Predict(Review)
        self.all = [dspy.Predict("spec -> verdict: bool")]


class Hinted(Steps):
    def forward(self, spec: str, depth: int = 2) -> dspy.Prediction:
        steps = self.plan(spec=spec, depth=depth).steps
        return self.review(steps=steps)


class ByUse(Steps):
    def forward(self, spec, depth):
        plan = self.plan(spec=spec, depth=depth)
        return dspy.Prediction(steps=plan.steps)


class Kwargs(Steps):
    def forward(self, **kwargs):
        return self.full(**kwargs)


class ReturnsComputed(Steps):
    def forward(self, spec: str):
        plan = self.plan(spec=spec, depth=1)
        return dspy.Prediction(count=len(plan.steps))
