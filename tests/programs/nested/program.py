"""Models within models: aliases, defaults, bounds, tagged unions, recursion, open models and dataclasses."""

from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Literal

import dspy
from pydantic import BaseModel, ConfigDict, Field


class Author(BaseModel):
    name: str = Field(min_length=1)
    born: date | None = None
    orcid: str = Field(default="", alias="ORCID")

    model_config = ConfigDict(populate_by_name=True)


class Section(BaseModel):
    """A section of a document, with sections of its own."""

    title: str
    words: int = Field(default=0, ge=0, lt=100_000)
    children: list["Section"] = []


class Photo(BaseModel):
    kind: Literal["photo"] = "photo"
    width: int
    ratio: float = 1.5


class Table(BaseModel):
    kind: Literal["table"] = "table"
    rows: list[list[str]]


class Extras(BaseModel):
    model_config = ConfigDict(extra="allow")

    source: str


@dataclass
class Reviewer:
    name: str
    grades: dict[str, int] = field(default_factory=dict)
    chief: bool = False


Figure = Annotated[Photo | Table, Field(discriminator="kind")]


class Edit(dspy.Signature):
    """Suggest how the outline of a manuscript could be improved."""

    outline: Section = dspy.InputField(desc="from the title down")
    authors: list[Author] = dspy.InputField()
    figures: dict[str, Figure] = dspy.InputField()
    reviewer: Reviewer = dspy.InputField()
    extras: Extras = dspy.InputField()
    lead: Author | None = dspy.InputField()
    pinned: Photo | Table | str = dspy.InputField()
    pair: tuple[Author, int] = dspy.InputField()

    better: Section = dspy.OutputField()
    figure: Figure = dspy.OutputField()
    assigned: Reviewer = dspy.OutputField()
    author: Author = dspy.OutputField()


class Order(dspy.Signature):
    """Put figures where they belong."""

    figures: list[Photo] = dspy.InputField()
    placed: list[Photo] = dspy.OutputField()


class Manuscript(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.edit = dspy.ChainOfThought(Edit)
        self.order = dspy.Predict(Order)

    def forward(self, outline: Section, figures: list[Photo]) -> dspy.Prediction:
        placed = self.order(figures=figures)
        return dspy.Prediction(placed=placed.placed)


program = Manuscript()
