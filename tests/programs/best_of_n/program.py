"""The best of three tries, judged by a function of the user's."""

import dspy


def short_enough(arguments: dict[str, str], prediction: dspy.Prediction) -> float:
    return 1.0 if len(prediction.headline) <= 60 else 0.0


write = dspy.ChainOfThought(dspy.Signature("article: str -> headline: str", "Write a headline of at most 60 letters."))
program = dspy.BestOfN(write, N=3, reward_fn=short_enough, threshold=1.0)
