"""Programs that use DSPy's modules, or control flow between predictors."""

import asyncio
from typing import Any, Literal

import dspy

from corpus.case import case

Q = {"question": "How deep is the lake?"}


@case(Q, {"question": None}, {"question": ["a", "b"]})
class ThreeStages(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.plan = dspy.Predict("question -> steps: list[str]")
        self.answer = dspy.ChainOfThought("question, steps: list[str] -> answer, confidence: float")
        self.polish = dspy.Predict("answer, confidence: float -> text")

    def forward(self, question: str) -> dspy.Prediction:
        steps = self.plan(question=question).steps
        answer = self.answer(question=question, steps=steps)
        return dspy.Prediction(text=self.polish(answer=answer.answer, confidence=answer.confidence).text, steps=steps)


def search(query: str, k: int = 3) -> str:
    """Search the archive for a query."""
    return f"{k} records on {query}"


def add(numbers: list[float]) -> float:
    """Add numbers."""
    return sum(numbers)


def fail(reason: str) -> str:
    """Never works."""
    raise ValueError(f"no {reason}")


# The prompt has the traceback of a tool, which may differ when the exception is replayed.
@case(Q, {"question": {"b": 1, "a": 2}}, unprovable=None)
class ReactWithTools(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.agent = dspy.ReAct(
            "question -> answer: str", tools=[search, dspy.Tool(add, name="plus"), fail], max_iters=3
        )

    def forward(self, question: str) -> dspy.Prediction:
        return self.agent(question=question)


@case(Q, expected="refused at the call", because="text -> summary")
class ReactWithToolThatAsks(dspy.Module):
    """A tool of the agent calls a predictor of the object that made it, of which a version is a copy."""

    def __init__(self) -> None:
        super().__init__()
        self.summarize = dspy.Predict("text -> summary")

        def summary(text: str) -> str:
            """Summarize a text."""
            return str(self.summarize(text=text).summary)

        self.agent = dspy.ReAct("question -> answer", tools=[summary], max_iters=2)

    def forward(self, question: str) -> dspy.Prediction:
        return self.agent(question=question)


@case(Q)
class Comparison(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.think = dspy.ChainOfThought("question -> answer")
        self.compare = dspy.MultiChainComparison("question -> answer", M=3)

    def forward(self, question: str) -> dspy.Prediction:
        attempts = [self.think(question=question, config={"rollout_id": n, "temperature": 0.7}) for n in range(3)]
        return self.compare(attempts, question=question)


def short(arguments: dict[str, Any], prediction: dspy.Prediction) -> float:
    return float(len(str(prediction.answer)) < 10)


@case(Q)
class BestOf(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.best = dspy.BestOfN(dspy.ChainOfThought("question -> answer"), N=3, reward_fn=short, threshold=1.0)

    def forward(self, question: str) -> dspy.Prediction:
        return self.best(question=question)


@case(Q, expected="kept", options={"keep": ["refine"]})
class Refined(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.draft = dspy.Predict("question -> topic")
        self.refine = dspy.Refine(dspy.Predict("question, topic -> answer"), N=2, reward_fn=short, threshold=1.0)

    def forward(self, question: str) -> dspy.Prediction:
        return self.refine(question=question, topic=self.draft(question=question).topic)


@case(Q, expected="refused at export", because="keep")
class RefinedWithoutKeep(Refined):
    pass


@case(Q, options={"signature": "question: str -> answer: Literal['yes', 'no']"})
class Majority(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.guess = dspy.Predict("question -> answer: Literal['yes', 'no']")

    def forward(self, question: str) -> dspy.Prediction:
        return dspy.majority(self.guess(question=question, config={"n": 3, "temperature": 0.9}))


@case(Q)
class InParallel(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ask = dspy.Predict("question, part: int -> answer")
        self.join = dspy.Predict("answers: list[str] -> answer")

    def forward(self, question: str) -> dspy.Prediction:
        run = dspy.Parallel(num_threads=3, disable_progress_bar=True, max_errors=100)
        parts = run([(self.ask, {"question": question, "part": part}) for part in range(4)])
        return self.join(answers=[part.answer if part else "" for part in parts])


@case(Q)
class Batched(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ask = dspy.Predict("question -> answer")

    def forward(self, question: str) -> list[Any]:
        examples = [dspy.Example(question=f"{question} {n}").with_inputs("question") for n in range(3)]
        return list(self.ask.batch(examples, num_threads=2, disable_progress_bar=True, max_errors=100))


@case(Q)
class AsyncOnly(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ask = dspy.ChainOfThought("question -> answer")

    async def aforward(self, question: str) -> dspy.Prediction:
        first = await self.ask.acall(question=question)
        return await self.ask.acall(question=first.answer)


@case(Q)
class Gathered(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ask = dspy.Predict("question, part: int -> answer")

    async def aforward(self, question: str) -> dict[str, Any]:
        calls = (self.ask.acall(question=question, part=n) for n in range(3))
        answers: list[Any] = await asyncio.gather(*calls, return_exceptions=True)  # so that no call is cancelled
        return {"answers": [getattr(answer, "answer", "failed") for answer in answers]}


@case(Q)
class GatheredUntilOneFails(Gathered):
    """The first failure cancels the other calls, so that chance decides which requests are sent."""

    async def aforward(self, question: str) -> dict[str, Any]:
        answers = await asyncio.gather(*(self.ask.acall(question=question, part=n) for n in range(3)))
        return {"answers": [answer.answer for answer in answers]}


@case(Q, options={"signature": "question: str -> answer: str"})
class Asyncified(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ask = dspy.Predict("question -> answer")

    async def aforward(self, question: str) -> dspy.Prediction:
        prediction: dspy.Prediction = await dspy.asyncify(self.ask)(question=question)
        return prediction


@case(Q)
class Looping(dspy.Module):
    def __init__(self, hops: int = 3) -> None:
        super().__init__()
        self.hops = [dspy.ChainOfThought("question, notes: list[str] -> query, done: bool") for _ in range(hops)]
        self.answer = dspy.Predict("question, notes: list[str] -> answer")

    def forward(self, question: str) -> dspy.Prediction:
        notes: list[str] = []
        for hop in self.hops:
            step = hop(question=question, notes=notes)
            if step.done:
                break
            notes.append(step.query)
        return self.answer(question=question, notes=notes)


@case({"text": "one two three four", "depth": 2})
class Recursive(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.sum_up = dspy.Predict("text -> summary")

    def forward(self, text: str, depth: int) -> dspy.Prediction:
        if depth == 0:
            return self.sum_up(text=text)
        half = len(text) // 2
        parts = [self.forward(part, depth - 1).summary for part in (text[:half], text[half:])]
        return self.sum_up(text=" ".join(parts))


@case(Q)
class Routed(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.route = dspy.Predict("question -> kind: Literal['fact', 'opinion']")
        self.experts = {"fact": dspy.Predict("question -> fact"), "opinion": dspy.ChainOfThought("question -> view")}

    def forward(self, question: str) -> dspy.Prediction:
        kind: Literal["fact", "opinion"] = self.route(question=question).kind
        expert = self.experts.get(kind, self.experts["fact"])
        prediction = expert(question=question)
        return dspy.Prediction(kind=kind, text=prediction.fact if kind == "fact" else prediction.view)


class Inner(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = dspy.Predict("question -> topic")
        self.second = dspy.Predict("topic -> facts: list[str]")

    def forward(self, question: str) -> dspy.Prediction:
        return self.second(topic=self.first(question=question).topic)


@case(Q)
class Nested(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Inner()
        self.parts = [Inner(), Inner()]

    def forward(self, question: str) -> dspy.Prediction:
        facts = [part(question=question).facts for part in (self.inner, *self.parts)]
        return dspy.Prediction(facts=facts, inner=self.inner(question="again"))


@case(Q, settings=lambda: {"rm": lambda query, k=3: [dspy.Example(long_text=f"{query} {n}") for n in range(k)]})
class Retrieved(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.retrieve = dspy.Retrieve(k=2)
        self.answer = dspy.ChainOfThought("context, question -> answer")

    def forward(self, question: str) -> dspy.Prediction:
        context = self.retrieve(question).passages
        answer = self.answer(context=context, question=question).answer
        return dspy.Prediction(context=context, answer=answer)


@case(Q)
class SharedPredictor(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ask = dspy.Predict("question -> answer")
        self.again = self.ask

    def forward(self, question: str) -> dspy.Prediction:
        return self.again(question=str(self.ask(question=question).answer))


@case(Q)
class CopiesInForward(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ask = dspy.Predict("question -> answer")

    def forward(self, question: str) -> dspy.Prediction:
        copies = [self.ask.deepcopy(), self.ask.reset_copy()]
        return dspy.Prediction(answers=[copy(question=question).answer for copy in copies])


@case(Q)
class PositionalInputs(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ask = dspy.Predict("question -> answer")

    def forward(self, question: str, times: int = 2) -> dspy.Prediction:
        for _ in range(times):
            question = self.ask(question=question).answer
        return dspy.Prediction(answer=question)
