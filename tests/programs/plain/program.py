"""One predictor with two texts in and two out."""

import dspy


class Triage(dspy.Signature):
    """Say which team should answer a support ticket, and draft the first reply."""

    ticket: str = dspy.InputField(desc="the customer's words")
    product: str = dspy.InputField()
    team: str = dspy.OutputField(desc="billing, shipping or technical")
    reply: str = dspy.OutputField()


program = dspy.Predict(Triage)
