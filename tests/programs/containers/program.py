"""Predictors in lists, dicts and tuples, and names that become the same function name."""

import dspy


class Step(dspy.Module):
    def __init__(self, task: str) -> None:
        super().__init__()
        self.predict = dspy.Predict(dspy.Signature("text -> better", f"{task} the text."))

    def forward(self, text: str) -> dspy.Prediction:
        return self.predict(text=text)


class Editor(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.steps = [Step("Shorten"), Step("Check")]
        self.steps_0 = dspy.Predict("text: str -> language: str")
        self.by_tone = {
            "it's formal": dspy.Predict("text: str -> formal: str"),
            "日本": dspy.ChainOfThought("text: str -> japanese: str"),
            "a.b": dspy.Predict("text: str -> spoken: str"),
            'say "hi"': dspy.Predict("text: str -> greeting: str"),
        }
        self.pair = (dspy.Predict("text: str -> first: int"), Step("Praise"))
        self.Pair_0 = dspy.Predict("text: str -> title: str")

    def forward(self, text: str) -> dspy.Prediction:
        for step in self.steps:
            text = step(text=text).better
        return self.steps_0(text=text)


program = Editor()
