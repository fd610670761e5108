"""A predictor or a prompt that is made while a program runs is refused."""

import inspect
import pathlib
from typing import Any

import dspy
import jsonschema
import pydantic
import pytest

from support.refusals import Base, Directly, refusals


def make_one() -> dspy.Predict:
    return dspy.Predict("question -> answer")


def _deeper() -> Any:
    return make_one()


class ByMethod(Base):
    def forward(self, question: str) -> Any:
        return self.helper()(question=question)

    def helper(self) -> Any:
        return dspy.Predict("question -> answer")


class ByFunction(Base):
    def forward(self, question: str) -> Any:
        return _deeper()(question=question)


class ByLambda(Base):
    def forward(self, question: str) -> Any:
        make = lambda: dspy.Predict("question -> answer")  # noqa: E731
        return make()(question=question)


class ByInnerFunction(Base):
    def forward(self, question: str) -> Any:
        def inner() -> Any:
            return dspy.Predict("question -> answer")

        return inner()(question=question)


class ByComprehension(Base):
    def forward(self, question: str) -> Any:
        return [dspy.Predict("question -> answer")(question=question) for _ in range(2)][-1]


class ByStaticMethod(Base):
    def forward(self, question: str) -> Any:
        return self.helper()(question=question)

    @staticmethod
    def helper() -> Any:
        return dspy.Predict("question -> answer")


class ByClassMethod(Base):
    def forward(self, question: str) -> Any:
        return self.helper()(question=question)

    @classmethod
    def helper(cls) -> Any:
        return dspy.Predict("question -> answer")


class ByProperty(Base):
    def forward(self, question: str) -> Any:
        return self.helper(question=question)

    @property
    def helper(self) -> Any:
        return dspy.Predict("question -> answer")


class BySuper(Directly):
    def forward(self, question: str) -> Any:
        return super().forward(question)


class ByDecorator(Base):
    @staticmethod
    def plain(function: Any) -> Any:
        return function

    @plain
    def forward(self, question: str) -> Any:
        return dspy.Predict("question -> answer")(question=question)


class ByLocalImport(Base):
    def forward(self, question: str) -> Any:
        from dspy import Predict

        return Predict("question -> answer")(question=question)


class Awaiting(Base):
    async def aforward(self, question: str) -> Any:
        return await dspy.Predict("question -> answer").acall(question=question)

    def forward(self, question: str) -> Any:
        return self.step(question=question)


class OwnModule(Base):
    def forward(self, question: str) -> Any:
        return Directly()(question=question)


CREATING = [
    *(Directly, ByMethod, ByFunction, ByLambda, ByInnerFunction, ByComprehension, ByStaticMethod, ByClassMethod),
    *(ByProperty, BySuper, ByDecorator, ByLocalImport, Awaiting, OwnModule),
]


@pytest.mark.parametrize("kind", CREATING)
def test_predictors_made_while_a_program_runs(kind: type[dspy.Module]) -> None:
    """A predictor that `forward` makes, by whatever helper, is seen by no optimizer and held by no export."""
    found = refusals(kind())
    assert found
    assert found[0].startswith(f"{kind.__name__}: `")
    assert " at line " in found[0]
    assert "Create it in `__init__` and keep it on `self`." in found[0]
    assert found[0].endswith("Or pass --keep self, so that it runs in Python through DSPy.")


class InInit(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.step = self.build()
        self.other = make_one()

    def build(self) -> Any:
        return dspy.ChainOfThought("question -> answer")

    def forward(self, question: str) -> Any:
        return self.other(question=self.step(question=question).answer)


class MakesData(Base):
    def forward(self, question: str) -> Any:
        example = dspy.Example(question=question).with_inputs("question")
        return dspy.Prediction(answer=self.step(**example.inputs()).answer)


class UsesModules(Base):
    def forward(self, question: str) -> Any:
        self.history = list(map(str, self.steps))
        with dspy.context(trace=[]):
            return self.steps[0](question=question)


@pytest.mark.parametrize("kind", [InInit, MakesData, UsesModules])
def test_predictors_made_before_a_program_runs_are_fine(kind: type[dspy.Module]) -> None:
    """What `__init__` makes, also with helpers, is exported; data made in `forward` is not a predictor."""
    assert refusals(kind()) == []


class OtherSignature(Base):
    def forward(self, question: str) -> Any:
        return self.step(question=question, signature="question -> answer")


class OtherDemos(Base):
    def forward(self, question: str) -> Any:
        return self.steps[0](question=question, demos=[{"question": "a", "answer": "b"}])


class InHelper(Base):
    def forward(self, question: str) -> Any:
        return self.ask(question)

    def ask(self, question: str) -> Any:
        return self.step(question=question, demos=[{"question": "a", "answer": "b"}])


class InLoop(Base):
    def forward(self, question: str) -> Any:
        for step in self.steps:
            question = step(question=question, demos=[{"question": "a", "answer": "b"}]).answer
        return question


class ByCall(Base):
    async def aforward(self, question: str) -> Any:
        return await self.step.acall(question=question, signature="question -> answer")

    def forward(self, question: str) -> Any:
        return self.step(question=question)


@pytest.mark.parametrize("kind", [OtherSignature, OtherDemos, InHelper, InLoop, ByCall])
def test_prompts_replaced_at_call_time(kind: type[dspy.Module]) -> None:
    """`signature=` and `demos=` at a call put another prompt in the place of the exported one."""
    found = refusals(kind())
    assert len(found) == 1
    assert "calls a predictor with its own" in found[0]
    assert "Create a second predictor in `__init__` for the other prompt." in found[0]


class Doc(pydantic.BaseModel):
    text: str

    @classmethod
    def from_row(cls, row: str) -> Any:
        return cls(text=row)


class OtherClassmethod(Base):
    def forward(self, question: str) -> Any:
        return self.step(question=Doc.from_row(question).text)


class StandardLibrary(Base):
    def forward(self, question: str) -> Any:
        jsonschema.validate({"at": str(pathlib.Path.cwd())}, {"type": "object"})
        return self.step(question=f"{question} {inspect.signature(Doc.from_row)}")


class Shadowed(Base):
    def forward(self, question: str) -> Any:
        def call(self: Any, cls: Any) -> Any:
            return cls(self)

        cls = dict
        return self.step(question=call(question, str) + str(cls(a=1)))


class OwnPrompt(Base):
    def forward(self, question: str) -> Any:
        self.step(question=question, demos=[])
        return self.step(question=question, demos=self.step.demos, signature=self.step.signature)


class Best(Base):
    def forward(self, question: str) -> Any:
        return dspy.BestOfN(self.step, N=2, reward_fn=lambda *_: 1.0, threshold=1.0)(question=question)


class ManyAnswers(Base):
    def __init__(self) -> None:
        super().__init__()
        self.step = dspy.Predict("question -> answer", n=5)

    def forward(self, question: str) -> Any:
        return self.step(question=question, config={"logit_bias": {"1": 2}})


@pytest.mark.parametrize("kind", [OtherClassmethod, StandardLibrary, Shadowed, OwnPrompt, Best, ManyAnswers])
def test_what_looks_like_a_predictor_made_at_run_time(kind: type[dspy.Module]) -> None:
    """A class that is not the program's, installed code, and the prompt that is exported anyway."""
    assert refusals(kind()) == []
