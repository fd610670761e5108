"""Three optimized copies of one program that vote."""

import dspy
from dspy.teleprompt import Ensemble


def copy_with(instructions: str) -> dspy.Predict:
    return dspy.Predict(dspy.Signature("comment: str -> toxic: bool", instructions))


copies = [copy_with("Is the comment toxic?"), copy_with("Would a moderator delete it?"), copy_with("Be strict.")]
copies[1].demos = [{"comment": "You are wrong.", "toxic": False}, {"comment": "Get lost!", "toxic": True}]
program = Ensemble(reduce_fn=dspy.majority).compile(copies)
