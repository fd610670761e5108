"""Five stages, one of them run for each section of a document, however many there are."""

import dspy
from pydantic import BaseModel


class Requirement(BaseModel):
    id: int
    text: str
    testable: bool


class Review(BaseModel):
    summary: str
    findings: list[str]


class Split(dspy.Signature):
    """Split a specification into its sections."""

    spec: str = dspy.InputField()
    sections: list[str] = dspy.OutputField()


class Extract(dspy.Signature):
    """List the requirements that a section of a specification states."""

    section: str = dspy.InputField()
    number: int = dspy.InputField(desc="of the section, from 1")
    requirements: list[Requirement] = dspy.OutputField()


class Conflicts(dspy.Signature):
    """Find requirements that contradict each other."""

    requirements: list[Requirement] = dspy.InputField()
    conflicts: list[tuple[int, int]] = dspy.OutputField()


class Draft(dspy.Signature):
    """Draft a review of a specification."""

    spec: str = dspy.InputField()
    requirements: list[Requirement] = dspy.InputField()
    conflicts: list[tuple[int, int]] = dspy.InputField()
    draft: str = dspy.OutputField()


class Polish(dspy.Signature):
    """Turn a draft into a review that a busy engineer reads to the end."""

    draft: str = dspy.InputField()
    review: Review = dspy.OutputField()


class SpecReview(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.split = dspy.Predict(Split)
        self.extract = dspy.ChainOfThought(Extract)
        self.conflicts = dspy.ChainOfThought(Conflicts)
        self.draft = dspy.Predict(Draft)
        self.polish = dspy.Predict(Polish)

    def forward(self, spec: str) -> dspy.Prediction:
        sections = self.split(spec=spec).sections
        requirements = []
        for number, section in enumerate(sections, 1):
            requirements += self.extract(section=section, number=number).requirements
        conflicts = self.conflicts(requirements=requirements).conflicts
        draft = self.draft(spec=spec, requirements=requirements, conflicts=conflicts).draft
        result = self.polish(draft=draft)
        return dspy.Prediction(review=result.review)


program = SpecReview()
program.extract.predict.demos = [
    {
        "augmented": True,
        "section": "3. The pump stops within 2 s.",
        "number": 3,
        "reasoning": "One sentence, one requirement; it names a time, so it can be tested.",
        "requirements": [Requirement(id=1, text="The pump stops within 2 s.", testable=True)],
    }
]
program.polish.demos = [
    dspy.Example(draft="Good. One gap.", review=Review(summary="One gap.", findings=["No limit for {load}."]))
]
