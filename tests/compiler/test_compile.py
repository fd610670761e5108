"""What a program made of several predictors becomes as a whole."""

import dspy
import pytest

from t0dspy.compiler.compile import compile_program
from t0dspy.compiler.contract import read_contract


class WithSpare(dspy.Module):
    """Hands its input to one predictor, and has another that only another method calls."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = dspy.Predict("question: str -> answer: str")
        self.spare = dspy.Predict("answer: str -> title: str")

    def forward(self, question: str) -> dspy.Prediction:
        return self.answer(question=question)

    def titled(self, question: str) -> dspy.Prediction:
        return self.spare(answer=self.forward(question).answer)


class Compared(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.answer = dspy.ChainOfThought("question: str -> answer: int")
        self.compare = dspy.MultiChainComparison("question: str -> answer: int", M=2)

    def forward(self, question):  # type: ignore[no-untyped-def]
        drafts = [self.answer(question=question) for _ in range(2)]
        return self.compare(drafts, question=question)


def test_a_program_with_a_second_predictor_is_not_just_the_one_it_calls():
    """Only a program of one predictor is that predictor; else two prompts would share one function."""
    assert not compile_program(WithSpare(), model="openai::m").direct


@pytest.mark.filterwarnings("ignore:The 'prefix' argument:DeprecationWarning")  # DSPy's own, in its module
def test_the_outputs_of_a_comparison_inside_a_program_are_certain():
    """A program that returns what MultiChainComparison answers needs no --signature."""
    contract = read_contract(Compared())
    assert list(contract.input_fields) == ["question"]
    assert {name: info.annotation for name, info in contract.output_fields.items()} == {"rationale": str, "answer": int}
