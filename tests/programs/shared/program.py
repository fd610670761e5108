"""One predictor that two steps use, under two names."""

import dspy


class Translate(dspy.Signature):
    """Translate, and keep names as they are."""

    text: str = dspy.InputField()
    language: str = dspy.InputField()
    translation: str = dspy.OutputField()


class RoundTrip(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.there = dspy.Predict(Translate)
        self.back = self.there
        self.judge = dspy.Predict("text: str, again: str -> same_meaning: bool")

    def forward(self, text: str) -> dspy.Prediction:
        middle = self.there(text=text, language="Finnish").translation
        again = self.back(text=middle, language="English").translation
        verdict = self.judge(text=text, again=again)
        return dspy.Prediction(same_meaning=verdict.same_meaning)


program = RoundTrip()
