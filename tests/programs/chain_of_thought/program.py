"""A question answered with reasoning first, and one example that an optimizer found."""

import dspy


class Diagnose(dspy.Signature):
    """Name the most likely fault of a coffee machine from what its owner says."""

    symptoms: str = dspy.InputField()
    age_in_years: int = dspy.InputField()
    fault: str = dspy.OutputField()
    confident: bool = dspy.OutputField()


program = dspy.ChainOfThought(Diagnose)
program.predict.demos = [
    {
        "augmented": True,
        "symptoms": "It hums, but no water comes.",
        "age_in_years": 4,
        "reasoning": "A humming pump without water is blocked by scale.",
        "fault": "scaled pump",
        "confident": True,
    }
]
