"""Programs that change a prompt while they run, or whose predictors are hard to find."""

import functools
from typing import Any

import dspy

from corpus.case import case

Q = {"question": "Where does the river end?"}
POOL = [dspy.Example(question=f"q{n}", answer=f"a{n}") for n in range(6)]


class One(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ask = dspy.Predict("question -> answer")


@case(Q, expected="refused at export", because="own 'demos'")
class DemosAtTheCall(One):
    def forward(self, question: str) -> dspy.Prediction:
        return self.ask(question=question, demos=POOL[:2])


@case(Q, expected="kept", options={"keep": ["ask"]})
class DemosAtTheCallKept(DemosAtTheCall):
    pass


@case(Q, expected="refused at the call", because="ask")
class NearestDemos(One):
    def forward(self, question: str) -> dspy.Prediction:
        self.ask.demos = sorted(POOL, key=lambda demo: abs(len(demo.question) - len(question)))[:2]
        return self.ask(question=question)


@case(Q, expected="kept", options={"keep": ["ask"]})
class NearestDemosKept(NearestDemos):
    pass


@case(Q, expected="refused at export", because="own 'signature'")
class SignatureAtTheCall(One):
    def forward(self, question: str) -> dspy.Prediction:
        signature = self.ask.signature.with_instructions(f"Answer in {len(question)} letters.")
        return self.ask(question=question, signature=signature)


@case(Q, expected="refused at the call", because="ask")
class InstructionsInForward(One):
    def forward(self, question: str) -> dspy.Prediction:
        self.ask.signature = self.ask.signature.with_instructions("Be brief.")
        return self.ask(question=question)


@case(Q, expected="refused at the call", because="ask")
class DemoChangedInPlace(One):
    def __init__(self) -> None:
        super().__init__()
        self.ask.demos = [dspy.Example(question="q", answer="a")]

    def forward(self, question: str) -> dspy.Prediction:
        self.ask.demos[0]["answer"] = "another"
        return self.ask(question=question)


@case(Q, expected="refused at the call", because="ask")
class XmlInAContext(One):
    def forward(self, question: str) -> dspy.Prediction:
        with dspy.context(adapter=dspy.XMLAdapter()):
            return self.ask(question=question)


@case(Q)
class JsonInAContext(One):
    """The JSON text is exported too, because it is that of the fallback."""

    def forward(self, question: str) -> dspy.Prediction:
        with dspy.context(adapter=dspy.JSONAdapter()):
            return self.ask(question=question)


@case(Q)
class WithoutFallback(One):
    def forward(self, question: str) -> dspy.Prediction:
        with dspy.context(adapter=dspy.ChatAdapter(use_json_adapter_fallback=False)):
            return self.ask(question=question)


SUMMARIZE = dspy.Predict("text -> summary")


@case(Q, expected="refused at the call", because="text -> summary")
class ModuleGlobal(One):
    def forward(self, question: str) -> dspy.Prediction:
        return self.ask(question=SUMMARIZE(text=question).summary)


@case(Q, expected="refused at the call", because="text -> summary")
class ToolWithAModuleGlobal(dspy.Module):
    """The agent catches what its tool raises; the run must fail all the same."""

    def __init__(self) -> None:
        super().__init__()

        def summary(text: str) -> str:
            """Summarize a text."""
            return str(SUMMARIZE(text=text).summary)

        self.agent = dspy.ReAct("question -> answer", tools=[summary], max_iters=2)

    def forward(self, question: str) -> dspy.Prediction:
        return self.agent(question=question)


@case(Q)
class ByName(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        for name in ("plan", "answer"):
            setattr(self, name, getattr(dspy, "ChainOfThought")(f"question -> {name}"))  # noqa: B009

    def forward(self, question: str) -> dspy.Prediction:
        plan = getattr(self, "plan")(question=question).plan  # noqa: B009
        return self.answer(question=plan)


@case(Q, options={"signature": "question: str -> answer: str, stars: int"})
class Partial(One):
    def __init__(self) -> None:
        super().__init__()
        self.call = functools.partial(self.ask, config={"temperature": 0.6})

    def forward(self, question: str) -> Any:
        return self.call(question=question)


@case(Q, expected="refused at export", because="forward")
class MadeInForward(One):
    def forward(self, question: str) -> dspy.Prediction:
        check = dspy.Predict("answer -> good: bool")
        return check(answer=self.ask(question=question).answer)


@case(Q, expected="refused at export", because="hidden from `named_predictors()`")
class InContainers(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stages = {"a": [dspy.Predict("question -> topic")], "b": dspy.Predict("topic -> answer")}

    def forward(self, question: str) -> dspy.Prediction:
        return self.stages["b"](topic=self.stages["a"][0](question=question).topic)


class Careful(dspy.Predict):
    def forward(self, **kwargs: Any) -> dspy.Prediction:
        kwargs["question"] = f"Carefully: {kwargs['question']}"
        return super().forward(**kwargs)


@case(Q)
class SubclassOfPredict(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ask = Careful("question -> answer")

    def forward(self, question: str) -> dspy.Prediction:
        return self.ask(question=question)


@case({"question": "a\nb", "words": ["x", "y"]}, {"question": "a", "words": "x y"})
class TextMadeInForward(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ask = dspy.Predict("prompt: str, extra: dict -> answer")

    def forward(self, question: str, words: list[str]) -> dspy.Prediction:
        prompt = "\n".join([f"[[ ## {word} ## ]]" for word in words] + [question])
        return self.ask(prompt=prompt, extra={"z": len(words), "a": {"question": question}})
