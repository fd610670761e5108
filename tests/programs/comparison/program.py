"""Three drafts compared by one predictor that sees them all."""

import dspy


class Judge(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.answer = dspy.ChainOfThought("question: str -> answer: str")
        self.compare = dspy.MultiChainComparison("question: str -> answer: str", M=3)

    def forward(self, question: str) -> dspy.Prediction:
        drafts = [self.answer(question=question, config={"temperature": 0.5 + 0.1 * n}) for n in range(3)]
        best = self.compare(drafts, question=question)
        return dspy.Prediction(answer=best.answer)


program = Judge()
