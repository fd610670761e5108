"""The program: a specification of Python functions in, their code, their tests and a review out.

Five predictors, two of them called once for each section of the plan, however many there are. A specification of one
function in 30 words and one of twenty functions in 5,000 take the same way.
"""

import dspy
from pydantic import BaseModel, Field


class Example(BaseModel):
    """A call that the specification shows, and what comes out of it."""

    call: str = Field(description="such as total([1, 2])")
    result: str = Field(description="a Python literal")


class Function(BaseModel):
    """A function that the specification asks for."""

    signature: str = Field(description="such as total(numbers)")
    requirements: list[str]
    examples: list[Example]


class Section(BaseModel):
    """A part of the work that is done in one go."""

    title: str
    functions: list[str] = Field(description="names of the functions to write in it")


class Review(BaseModel):
    """The verdict on the whole."""

    approved: bool
    findings: list[str]


class ParseSpec(dspy.Signature):
    """Read the specification and list the functions that it asks for."""

    spec: str = dspy.InputField()
    functions: list[Function] = dspy.OutputField()


class PlanSections(dspy.Signature):
    """Divide the work into sections."""

    functions: list[Function] = dspy.InputField()
    sections: list[Section] = dspy.OutputField(desc="1 to 20")


class WriteCode(dspy.Signature):
    """Write the functions of a section in Python."""

    section: Section = dspy.InputField()
    functions: list[Function] = dspy.InputField()
    code: str = dspy.OutputField(desc="plain Python, no fences")


class WriteTests(dspy.Signature):
    """Write tests for the functions of a section."""

    functions: list[Function] = dspy.InputField()
    code: str = dspy.InputField()
    tests: str = dspy.OutputField(desc="one assert a line")


class ReviewAll(dspy.Signature):
    """Review the code against the specification."""

    spec: str = dspy.InputField()
    code: str = dspy.InputField()
    tests: str = dspy.InputField()
    review: Review = dspy.OutputField()


class Contract(dspy.Signature):
    """What the whole program takes and returns."""

    spec: str = dspy.InputField()
    functions: list[Function] = dspy.OutputField()
    sections: list[Section] = dspy.OutputField()
    code: str = dspy.OutputField()
    tests: str = dspy.OutputField()
    review: Review = dspy.OutputField()


MOST_SECTIONS = 20


class SpecToReview(dspy.Module):
    """Parse, plan, write code and tests section by section, review."""

    def __init__(self) -> None:
        super().__init__()
        self.parse_spec = dspy.Predict(ParseSpec)
        self.plan = dspy.Predict(PlanSections)
        self.write_code = dspy.Predict(WriteCode)
        self.write_tests = dspy.Predict(WriteTests)
        self.review_all = dspy.Predict(ReviewAll)

    def forward(self, spec: str) -> dspy.Prediction:
        """The five stages, one after the other."""
        functions = self.parse_spec(spec=spec).functions
        sections = self.plan(functions=functions).sections[:MOST_SECTIONS]
        codes, tests = [], []
        for section in sections:
            wanted = [one for one in functions if name_of(one) in section.functions]
            code = self.write_code(section=section, functions=wanted).code
            codes.append(code)
            tests.append(self.write_tests(functions=wanted, code=code).tests)
        whole = {"code": "\n\n".join(codes), "tests": "\n".join(tests)}
        review = self.review_all(spec=spec, **whole).review
        return dspy.Prediction(functions=functions, sections=sections, review=review, **whole)


def name_of(function: Function) -> str:
    """The name in a signature."""
    return function.signature.partition("(")[0].strip()


spec_to_review = SpecToReview()
