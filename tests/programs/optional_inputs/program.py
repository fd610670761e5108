"""Inputs that a caller may leave out, with and without a default, and a contract read from `forward`."""

from datetime import date
from typing import Literal

import dspy
from pydantic import BaseModel


class Limits(BaseModel):
    euros: float = 0.5
    nights: int = 2


class Search(dspy.Signature):
    """Find a place to stay."""

    town: str | None = dspy.InputField()
    near: str = dspy.InputField(default="{{ centre }}\n")
    guests: int = dspy.InputField(default=2)
    pets: bool = dspy.InputField(default=False)
    until: date | None = dspy.InputField(default=None)
    score: float = dspy.InputField(default=1e-07)
    kind: Literal["flat", "room"] = dspy.InputField(default="flat")
    limits: Limits = dspy.InputField(default=Limits())
    tags: list[str] = dspy.InputField(default=["quiet", "{"])
    place: str = dspy.OutputField()
    doubts: str | None = dspy.OutputField(default=None)
    stars: int = dspy.OutputField(default=3)


class Finder(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.search = dspy.Predict(Search)

    def forward(self, town: str | None = None, guests: int = 2, limits: Limits | None = None) -> dspy.Prediction:
        found = self.search(town=town, guests=guests, limits=limits or Limits())
        return dspy.Prediction(place=found.place, stars=found.stars)


program = Finder()
