"""A program that is to shout a question back, and its metrics."""

import os

import dspy

import t0dspy


class Shout(dspy.Signature):
    """Shout."""

    question: str = dspy.InputField()
    answer: str = dspy.OutputField()


shout = dspy.Predict(Shout)


class Duo(dspy.Module):
    """Drafts, then shouts."""

    def __init__(self):
        super().__init__()
        self.plan = dspy.Predict(dspy.Signature("question -> draft", "Draft."))
        self.write = dspy.Predict(dspy.Signature("draft -> answer", "Shout."))

    def forward(self, question: str):
        plan = self.plan(question=question)
        return self.write(draft=plan.draft)


def duo():
    return Duo()


graded = t0dspy.backward_grade(t0dspy.exact_match("answer"), stages={"plan": lambda ex, one: "draft" in one})

right = t0dspy.exact_match("answer")


def loud(example, prediction, trace=None):
    """Needs no gold."""
    return float(prediction.answer == example.question.upper())


def broken(example, prediction, trace=None):
    raise KeyError("no such label")


def never(example, prediction, trace=None):
    return 0.0


def die_at(stage):
    """A progress callback that kills the process when `stage` begins."""

    def say(text):
        if text.startswith(stage):
            os._exit(9)

    return say
