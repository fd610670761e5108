"""What became of the stories: the same program with other predictors."""

import dspy


class Plan(dspy.Signature):
    """Plan a story."""

    topic: str = dspy.InputField()
    hint: str | None = dspy.InputField(default=None)
    outline: str = dspy.OutputField()


class Changed(dspy.Module):
    """`plan` takes what it took before, and more; `write` needs more."""

    def __init__(self) -> None:
        super().__init__()
        self.plan = dspy.Predict(Plan)
        self.write = dspy.Predict("outline: str, style: str -> text: str")

    def forward(self, topic: str) -> dspy.Prediction:
        return self.write(outline=self.plan(topic=topic).outline, style="plain")


class Renamed(dspy.Module):
    """`plan` is `think`, and `write` may give nothing but a number."""

    def __init__(self) -> None:
        super().__init__()
        self.think = dspy.Predict("topic: str -> outline: str")
        self.write = dspy.Predict("outline: str -> text: int")

    def forward(self, topic: str) -> dspy.Prediction:
        return dspy.Prediction(text=str(self.write(outline=self.think(topic=topic).outline).text))


changed, renamed = Changed(), Renamed()
