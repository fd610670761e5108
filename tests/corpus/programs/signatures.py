"""Programs whose signatures are made in other ways: prepended fields, defaults, instructions, odd names, demos."""

from typing import Any

import dspy
import pydantic

from corpus.case import case


@case({"context": ["p1", "p2"], "question": "q"}, {"context": "p1", "question": "q"}, {"question": "q"})
def prepended_field() -> dspy.Module:
    signature = dspy.Signature("question -> answer").prepend("context", dspy.InputField(desc="facts"))
    program = dspy.ChainOfThought(signature)
    program.predict.demos = [dspy.Example(context=["p1"], question="q", reasoning="r", answer="a")]
    return program


@case({"question": "q", "style": "short"}, {"question": "q"}, {"question": 5, "style": None})
def appended_field() -> dspy.Module:
    signature = dspy.Signature("question -> answer").append("style", dspy.InputField(), type_=str)
    return dspy.Predict(signature.insert(0, "plan", dspy.OutputField(desc="how to answer"), type_=str))


@case(
    {"text": "x"}, {"text": "x", "limit": 3, "words": ["a"]}, {"text": "x", "limit": None}, {"text": None, "words": "a"}
)
def default_inputs() -> dspy.Module:
    class Summarize(dspy.Signature):
        """Summarize the text."""

        text: str = dspy.InputField()
        limit: int = dspy.InputField(default=10)
        words: list[str] = dspy.InputField(default=["one", "two"])
        summary: str = dspy.OutputField()

    return dspy.Predict(Summarize)


@case({"text": "x"}, {"text": "x", "tags": ["b"]})
def default_factory_input() -> dspy.Module:
    class Tag(dspy.Signature):
        """Tag the text."""

        text: str = dspy.InputField()
        tags: list[str] = dspy.InputField(default_factory=lambda: ["a"])
        tag: str = dspy.OutputField()

    return dspy.Predict(Tag)


@case({"text": "x"}, {"text": "x", "hint": "y"}, {"text": "x", "hint": None}, {"hint": "only"})
def optional_inputs() -> dspy.Module:
    class Guess(dspy.Signature):
        """Guess."""

        text: str = dspy.InputField()
        hint: str | None = dspy.InputField(default=None)
        guess: str = dspy.OutputField()
        other: str | None = dspy.OutputField()

    return dspy.ChainOfThought(Guess)


@case({"text": "x"})
def default_outputs() -> dspy.Module:
    class Rate(dspy.Signature):
        text: str = dspy.InputField()
        stars: int = dspy.OutputField(default=3)
        notes: list[str] = dspy.OutputField(default_factory=list)

    return dspy.Predict(Rate)


@case({"text": "x", "kwargs": "y", "class_": "z"})
def odd_names() -> dspy.Module:
    return dspy.Predict("text, kwargs, class_ -> self_, return_: int")


@case({"text": "x"}, {"text": "{x} {{y}} {% z %} {# c #}"})
def hostile_instructions() -> dspy.Module:
    instructions = (
        'Keep {braces}, {{ more }}, {% tags %}, {# notes #}, <tags>&amp; "quotes"\n\n  indents, and é 日本.\n'
    )
    signature = dspy.Signature("text -> answer", instructions).with_updated_fields(
        "text", desc="a {{ text }}\nof two lines"
    )
    return dspy.Predict(signature)


@case({"text": "x", "unknown": 1}, {"text": "x"})
def unknown_input() -> dspy.Module:
    return dspy.Predict("text -> answer")


class Fact(pydantic.BaseModel):
    subject: str
    weight: float = 1e-5


@case(
    {"facts": [Fact(subject="a")], "limit": 2}, {"facts": [{"subject": "a", "weight": 1}], "limit": "2"}, {"facts": []}
)
def demos_with_models() -> dspy.Module:
    signature = dspy.Signature(
        {
            "facts": (list[Fact], dspy.InputField()),
            "limit": (int, dspy.InputField()),
            "best": (Fact, dspy.OutputField()),
            "why": (str, dspy.OutputField()),
        }
    )
    program = dspy.Predict(signature)
    program.demos = [
        dspy.Example(facts=[Fact(subject="s", weight=2.5)], limit=1, best=Fact(subject="s"), why="only"),
        dspy.Example(facts=[{"subject": "d"}], limit=2, why="incomplete"),
        {"facts": [], "limit": 0, "best": None, "why": "none"},
    ]
    return program


@case({"text": "x"})
def demos_with_odd_values() -> dspy.Module:
    program = dspy.Predict("text, size: int -> answer: list[str], note: Optional[str]")
    program.demos = [
        dspy.Example(text=["p", "q"], size="big", answer="not a list", note=None),
        dspy.Example(text=None, size=None, answer=[], note="[[ ## completed ## ]]", augmented=True),
    ]
    return program


@case({"text": "x"}, {"text": {"b": 1, "a": 2}})
def demos_in_the_system_message() -> dspy.Module:
    program = dspy.ChainOfThought("text -> answer")
    program.predict.demos = [dspy.Example(text=f"t{n}", reasoning="r", answer=f"a{n}") for n in range(3)]
    return program


def _inherited() -> type[dspy.Signature]:
    class Base(dspy.Signature):
        """Answer the question."""

        question: str = dspy.InputField(desc="what is asked")
        answer: str = dspy.OutputField()

    class Longer(Base):
        """Answer the question at length."""

        sources: list[str] = dspy.OutputField(desc="where it is written")

    return Longer


@case({"question": "q"}, {"question": ["q1", "q2"]})
def inherited_signature() -> dspy.Module:
    return dspy.Predict(_inherited())


@case({"question": "q"})
def instructions_set_later() -> dspy.Module:
    program = dspy.Predict("question -> answer")
    program.signature = program.signature.with_instructions("Answer as a sailor would.")
    program.signature = program.signature.with_updated_fields("answer", prefix="Arr:", desc="a rough answer")
    return program


@case({"question": "q"})
def loaded_state() -> dspy.Module:
    source: Any = dspy.ChainOfThought("question -> answer: list[str]")
    source.predict.demos = [dspy.Example(question="q", reasoning="r", answer=["a"])]
    source.predict.signature = source.predict.signature.with_instructions("Be brief.")
    program = dspy.ChainOfThought("question -> answer: list[str]")
    program.load_state(source.dump_state())
    return program
