"""Programs by what they take and return, and by how they treat exceptions."""

import itertools
from typing import Any

import dspy
import pydantic
from dspy.utils.exceptions import AdapterParseError

from corpus.case import case

Q = {"question": "Is the ice thick?"}
NUMBERS = itertools.count()


class Answer(pydantic.BaseModel):
    text: str
    stars: int


class One(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ask = dspy.Predict("question -> answer: str, stars: int")


@case(Q)
class ReturnsText(One):
    def forward(self, question: str) -> str:
        return str(self.ask(question=question).answer)


@case(Q)
class ReturnsList(One):
    def forward(self, question: str) -> list[int]:
        return [self.ask(question=question).stars, 2]


@case(Q)
class ReturnsTuple(One):
    def forward(self, question: str) -> tuple[str, int]:
        prediction = self.ask(question=question)
        return prediction.answer, prediction.stars


@case(Q)
class ReturnsModel(One):
    def forward(self, question: str) -> Answer:
        prediction = self.ask(question=question)
        return Answer(text=prediction.answer, stars=prediction.stars)


@case(Q)
class ReturnsDict(One):
    def forward(self, question: str) -> dict[str, Any]:
        return {"z": self.ask(question=question).toDict(), "a": [None, 1.5]}


@case(Q, expected="refused at export", because="`forward` has no `return` with a value")
class ReturnsNothing(One):
    def forward(self, question: str) -> None:
        self.ask(question=question)


@case(Q)
class ReturnsNestedPrediction(One):
    def forward(self, question: str) -> dspy.Prediction:
        return dspy.Prediction(inner=self.ask(question=question), count=1)


@case(Q)
class ReturnsThroughAVariable(One):
    def forward(self, question: str) -> dspy.Prediction:
        prediction = self.ask(question=question)
        answer = prediction.answer
        result = dspy.Prediction(answer=answer)
        result.stars = prediction.stars
        return result


@case(
    {"question": "q", "style": "short"},
    {"question": "q"},
    options={"signature": "question: str, style: str -> answer: str"},
)
class KeywordInputs(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ask = dspy.Predict("question, style -> answer")

    def forward(self, **kwargs: Any) -> dspy.Prediction:
        return self.ask(**kwargs)


@case({"facts": {"z": 1, "a": {"y": 1, "b": 2}}}, {"facts": {}})
class DictInKeyOrder(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ask = dspy.Predict("first: str, facts: dict -> answer")

    def forward(self, facts: dict[str, Any]) -> dspy.Prediction:
        return self.ask(first=next(iter(facts), "none"), facts=facts)


@case(Q)
class Catches(One):
    def forward(self, question: str) -> dspy.Prediction:
        try:
            return self.ask(question=question)
        except AdapterParseError as error:
            return dspy.Prediction(answer=f"unreadable: {str(error.lm_response)[:20]}", stars=0)
        except Exception as error:
            return dspy.Prediction(answer=f"{type(error).__name__}: {getattr(error, 'status', None)}", stars=-1)


@case(Q)
class Retries(One):
    def forward(self, question: str) -> dspy.Prediction:
        for attempt in range(3):
            try:
                return self.ask(question=question, config={"temperature": attempt / 2, "rollout_id": attempt})
            except AdapterParseError:
                continue
        raise RuntimeError("no answer could be read")


def expect(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


@case(Q)
class Asserts(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ask = dspy.Predict("question, advice: list[str] -> answer: str, stars: int")

    def forward(self, question: str) -> dspy.Prediction:
        advice: list[str] = []
        for _ in range(3):
            prediction = self.ask(question=question, advice=advice)
            try:
                expect(0 < (prediction.stars or 0) < 500, f"{prediction.stars} stars are too few or too many")
            except ValueError as error:
                advice.append(str(error))
            else:
                return prediction
        return prediction


@case(Q, unprovable=True)
class GlobalCounter(One):
    def forward(self, question: str) -> dspy.Prediction:
        return self.ask(question=f"{next(NUMBERS)}. {question}")


@case(Q)
class OwnState(One):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def forward(self, question: str) -> dspy.Prediction:
        self.seen.append(question)
        return self.ask(question=f"{len(self.seen)}. {question}")


@case({"question": "q", "times": 2}, {"question": "q"}, {"question": "q", "times": 0})
class DefaultsOfForward(One):
    def forward(self, question: str, times: int = 1, prefix: str = "") -> dspy.Prediction:
        answers = [self.ask(question=f"{prefix}{question} {n}").answer for n in range(times)]
        return dspy.Prediction(answers=answers)


@case(Q)
class UsesHistory(One):
    """Reads DSPy's history of the LM, as programs that log tokens do."""

    def forward(self, question: str) -> dspy.Prediction:
        prediction = self.ask(question=question)
        last = dspy.settings.lm.history[-1] if dspy.settings.lm.history else {}
        return dspy.Prediction(
            answer=prediction.answer, model=last.get("model"), roles=[m["role"] for m in last["messages"]]
        )


@case(Q)
class UsesTrace(One):
    def forward(self, question: str) -> dspy.Prediction:
        with dspy.context(trace=[]):
            prediction = self.ask(question=question)
            count = len(dspy.settings.trace)
        return dspy.Prediction(answer=prediction.answer, count=count)


@case({"question": "q", "answers": ["a", "b"]})
class NoLm(dspy.Module):
    """The predictor is only called for some inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.ask = dspy.Predict("question -> answer")

    def forward(self, question: str, answers: list[str]) -> dspy.Prediction:
        if answers:
            return dspy.Prediction(answer=answers[0])
        return self.ask(question=question)
