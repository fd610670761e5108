"""Programs that the runtime's tests export and serve."""

import datetime
import os
import threading
import time

import dspy
import pydantic


class Stories(dspy.Module):
    """Two stages, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.plan = dspy.Predict("topic: str -> outline: str")
        self.write = dspy.Predict("outline: str -> text: str")

    def forward(self, topic: str) -> dspy.Prediction:
        plan = self.plan(topic=topic)
        return self.write(outline=plan.outline)

    async def aforward(self, topic: str) -> dspy.Prediction:
        plan = await self.plan.acall(topic=topic)
        return await self.write.acall(outline=plan.outline)


class Both(dspy.Module):
    """Two stages side by side, in threads of DSPy's."""

    def __init__(self) -> None:
        super().__init__()
        self.one = dspy.Predict("topic: str -> left: str")
        self.other = dspy.Predict("topic: str -> right: str")

    def forward(self, topic: str) -> dspy.Prediction:
        parallel = dspy.Parallel(num_threads=2, disable_progress_bar=True)
        one, other = parallel([(self.one, {"topic": topic}), (self.other, {"topic": topic})])
        return dspy.Prediction(left=one.left, right=other.right)


class Author(pydantic.BaseModel):
    """A typed output with an alias."""

    name: str = pydantic.Field(validation_alias="fullName")
    age: int


question = dspy.Predict("question: str -> answer: str")
thinker = dspy.ChainOfThought("question: str -> answer: Literal['yes', 'no']")
stories = Stories()
both = Both()

LOG = os.environ.get("SIDE_EFFECTS", os.devnull)
"""A file that side effects are written to, a line each."""


def note(line: str) -> None:
    with open(LOG, "a", encoding="utf-8") as log:
        log.write(line + "\n")


def book(room: str) -> str:
    """Book a room."""
    note(f"booked {room}")
    return f"booked {room}"


agent = dspy.ReAct("request: str -> result: str", tools=[book], max_iters=4)


class Naughty(dspy.Module):
    """Does what the topic says."""

    def __init__(self) -> None:
        super().__init__()
        self.plan = dspy.Predict("topic: str -> outline: str")
        self.write = dspy.Predict("outline: str -> text: str")

    def forward(self, topic: str) -> dspy.Prediction:
        note(f"began {topic}")
        plan = self.plan(topic=topic)
        self.misbehave(topic)
        note(f"went on {topic}")
        written = self.write(outline=plan.outline)
        if topic == "wrong field":
            return dspy.Prediction(nonsense=1)
        if topic == "wrong type":
            return dspy.Prediction(text=17)
        return dspy.Prediction(text=written.text)

    def misbehave(self, topic: str) -> None:
        if topic == "raise":
            raise KeyError("the secret of the user")
        if topic.startswith("hang"):
            while True:
                time.sleep(0.05)
        if topic.startswith("nap"):
            time.sleep(2)
        if topic == "crash":
            os._exit(17)
        if topic == "leak":
            threading.Thread(target=self.later, daemon=True).start()
        if topic == "thread":
            worker = threading.Thread(target=self.write, kwargs={"outline": "x"}, daemon=True)
            worker.start()
            worker.join()

    def later(self) -> None:
        time.sleep(0.5)
        self.plan(topic="leaked")


naughty = Naughty()


class Find(dspy.Signature):
    """Find the author."""

    title: str = dspy.InputField()
    written: datetime.date | None = dspy.InputField()
    author: Author = dspy.OutputField()


class Remark(dspy.Signature):
    """Say something, or nothing."""

    topic: str = dspy.InputField()
    remark: str | None = dspy.OutputField(default=None)


taciturn = dspy.Predict(Remark)


class Library(dspy.Module):
    """Typed values in and out."""

    def __init__(self) -> None:
        super().__init__()
        self.find = dspy.Predict(Find)

    def forward(self, title: str, written: datetime.date | None = None) -> dspy.Prediction:
        assert written is None or isinstance(written, datetime.date)
        found = self.find(title=title, written=written)
        return dspy.Prediction(author=found.author)


library = Library()


def best_of_three() -> dspy.Module:
    """The longest of three answers."""
    return dspy.BestOfN(
        dspy.Predict("question: str -> answer: str"), N=3, reward_fn=lambda args, pred: len(pred.answer), threshold=99
    )


def asker() -> dspy.Module:
    """A single predictor with a demo, so that it needs a runtime of ours."""
    predict = dspy.Predict("question: str -> answer: str")
    predict.demos = [dspy.Example(question="one?", answer="two.")]
    return predict


mixed = dspy.Predict("question: str -> answer: str")
with_demos = asker()
