"""Programs that choose an LM or its options while they run."""

import copy
from typing import Any

import dspy

from corpus.case import BIG, SMALL, case

Q = {"question": "Who built the bridge?"}
BOTH = {"model": {SMALL: "openai::gpt-4o-mini", BIG: "openai::gpt-4o"}}


def big(**options: Any) -> dspy.LM:
    return dspy.LM(BIG, **options)


@case(Q)
class LmInContext(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lm = big(temperature=0.7, max_tokens=77)
        self.draft = dspy.Predict("question -> draft")
        self.final = dspy.Predict("draft -> answer")

    def forward(self, question: str) -> dspy.Prediction:
        with dspy.context(lm=self.lm):
            draft = self.draft(question=question).draft
        return self.final(draft=draft)


@case(Q)
class LmAtTheCall(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lm = big(top_p=0.9)
        self.ask = dspy.ChainOfThought("question -> answer")

    def forward(self, question: str) -> dspy.Prediction:
        return self.ask(question=question, lm=self.lm)


@case(Q)
class LmOfAPredictor(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.plan = dspy.Predict("question -> plan")
        self.plan.lm = big(temperature=0.0)
        self.answer = dspy.ChainOfThought("plan -> answer")
        self.answer.set_lm(big(seed=3, stop=["END"]))
        self.check = dspy.Predict("answer -> good: bool")

    def forward(self, question: str) -> dspy.Prediction:
        return self.check(answer=self.answer(plan=self.plan(question=question).plan).answer)


CHEAP = dspy.LM(BIG, max_tokens=33)


@case(Q)
class LmInAGlobal(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ask = dspy.Predict("question -> answer")

    def forward(self, question: str) -> dspy.Prediction:
        with dspy.context(lm=CHEAP):
            return self.ask(question=question)


@case(Q)
class CopiedLm(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ask = dspy.Predict("question -> answer")

    def forward(self, question: str) -> dspy.Prediction:
        lm = (self.ask.lm or dspy.settings.lm).copy(temperature=0.9, rollout_id=7)
        answers = []
        for _ in range(2):
            predictor = self.ask.deepcopy()
            predictor.set_lm(lm)
            answers.append(predictor(question=question).answer)
        with dspy.context(lm=copy.deepcopy(lm)):
            answers.append(self.ask(question=question).answer)
        return dspy.Prediction(answers=answers)


@case(Q)
class LmMadeInForward(dspy.Module):
    """The LM is made in `forward`, from a name that the export finds on the program."""

    def __init__(self) -> None:
        super().__init__()
        self.ask = dspy.Predict("question -> answer")
        self.name = "openai/gpt-4.1"

    def forward(self, question: str) -> dspy.Prediction:
        with dspy.context(lm=dspy.LM(self.name)):
            return self.ask(question=question)


@case(Q, expected="refused at the call", because="calls the LM 'openai/gpt-5-Who'")
class UnknownLm(dspy.Module):
    """The LM is made in `forward`, from a name that nothing at export shows."""

    def __init__(self) -> None:
        super().__init__()
        self.ask = dspy.Predict("question -> answer")

    def forward(self, question: str) -> dspy.Prediction:
        with dspy.context(lm=dspy.LM(f"openai/gpt-5-{question.split()[0]}", max_tokens=16000)):
            return self.ask(question=question)


@case(
    Q,
    settings=lambda: {"lm": dspy.LM("openai/own", api_base="http://10.0.0.7:8000/v1", api_key="x", temperature=0.2)},
    options={"model": "main"},
)
def own_server() -> dspy.Module:
    return dspy.ChainOfThought("question -> answer")


@case(
    Q,
    options={"models": {"near": "main", "far": "far"}},
    settings=lambda: {"lm": dspy.LM("openai/own", api_base="http://near.example/v1", api_key="x")},
)
class TwoServers(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.near = dspy.Predict("question -> draft")
        self.far = dspy.Predict("draft -> answer")
        self.far.lm = dspy.LM("openai/own", api_base="http://far.example/v1", api_key="x")

    def forward(self, question: str) -> dspy.Prediction:
        return self.far(draft=self.near(question=question).draft)


@case(Q, settings=lambda: {"lm": dspy.LM("openai/o3-mini", temperature=1.0, max_tokens=16000)})
def reasoning_model() -> dspy.Module:
    return dspy.ChainOfThought("question -> answer: list[str]")


@case(Q)
class ConfigAtTheCall(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ask = dspy.Predict("question -> answer")

    def forward(self, question: str) -> dspy.Prediction:
        first = self.ask(question=question, config={"n": 2, "temperature": 0.55})
        second = self.ask(question=question, config={"stop": ["x"], "logit_bias": {"50256": -100}, "rollout_id": 3})
        third = self.ask(question=question, config={"temperature": None, "max_tokens": 9, "seed": 2, "logprobs": True})
        return dspy.Prediction(answers=first.completions.answer, second=second.answer, third=third.answer)


@case(Q)
def options_of_the_predictor() -> dspy.Module:
    return dspy.Predict(
        "question -> answer", temperature=0.1 + 0.2, stop=["a", "b"], presence_penalty=0.1, max_tokens=11
    )


@case(Q)
def several_candidates() -> dspy.Module:
    return dspy.Predict("question -> answer", n=3)


@case(
    Q, settings=lambda: {"lm": dspy.LM(SMALL, temperature=0.3, metadata={"team": "a"}, user="u", service_tier="flex")}
)
def keys_that_variants_lack() -> dspy.Module:
    return dspy.Predict("question -> answer")


@case(
    Q,
    expected="refused at the call",
    because="LiteLLM",
    settings=lambda: {"lm": dspy.LM(SMALL, engine="litellm", num_retries=0)},
)
def litellm_engine() -> dspy.Module:
    return dspy.Predict("question -> answer")


@case(Q, expected="refused at the call", because="an LM directly")
class DirectCall(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ask = dspy.Predict("question -> answer")

    def forward(self, question: str) -> dspy.Prediction:
        hint = dspy.settings.lm(f"Give a hint for: {question}")[0]
        return self.ask(question=f"{question}\n{hint}")
