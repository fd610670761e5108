"""Programs with adapters other than ChatAdapter, and with DSPy's own types of fields."""

from typing import Any

import dspy

import t0dspy
from corpus.case import case

T = {"text": "The tide is high."}
PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAUEBAAAACwAAAAAAQABAAACAkQBADs="


def mixed(demos: int = 1) -> dspy.Module:
    program = dspy.ChainOfThought("text, tags: list[str] -> mood: Literal['good', 'bad'], parts: list[dict[str, int]]")
    example = dspy.Example(text="t", tags=["a"], reasoning="r < s & t", mood="good", parts=[{"x": 1}])
    program.predict.demos = [example] * demos
    return program


MIXED = ({"text": "a < b & c", "tags": ["x"]}, {"text": None, "tags": "y"}, {"text": {"b": 1, "a": 2}, "tags": []})


@case(*MIXED, settings=lambda: {"adapter": dspy.XMLAdapter()})
def xml_adapter() -> dspy.Module:
    return mixed()


@case(*MIXED, settings=lambda: {"adapter": dspy.JSONAdapter()})
def json_adapter() -> dspy.Module:
    return mixed()


@case(*MIXED, settings=lambda: {"adapter": dspy.ChatAdapter(use_json_adapter_fallback=False)})
def chat_adapter_without_fallback() -> dspy.Module:
    return mixed()


@case(*MIXED, settings=lambda: {"adapter": dspy.JSONAdapter(), "lm": dspy.LM("openai/a-model-nobody-knows")})
def json_adapter_with_an_unknown_model() -> dspy.Module:
    return mixed()


@case(*MIXED, settings=lambda: {"adapter": t0dspy.ServedAdapter()})
def served_adapter() -> dspy.Module:
    return mixed(2)


@case(*MIXED, settings=lambda: {"adapter": t0dspy.ServedAdapter("json")})
def served_json_adapter() -> dspy.Module:
    return mixed(2)


class Shouting(dspy.ChatAdapter):
    def format_system_message(self, signature: Any) -> str:
        return str(super().format_system_message(signature)).upper()


@case(T, settings=lambda: {"adapter": Shouting()}, expected="refused at export", because="adapter")
def custom_adapter() -> dspy.Module:
    return dspy.Predict("text -> answer")


@case(T, settings=lambda: {"adapter": Shouting()}, expected="kept", options={"keep": ["self"]})
def custom_adapter_kept() -> dspy.Module:
    return dspy.Predict("text -> answer")


@case({"text": "x", "image": dspy.Image(url="https://example.com/a.png")}, expected="refused at export", because="keep")
def image_input() -> dspy.Module:
    return dspy.Predict("text, image: dspy.Image -> answer")


@case(
    {"text": "x", "image": dspy.Image(url="https://example.com/a.png")},
    {"text": "x", "image": dspy.Image(url=PIXEL)},
    {"text": "x"},
    expected="kept",
    options={"keep": ["look"]},
)
class ImageKept(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.look = dspy.Predict("text, image: dspy.Image -> seen: list[str]")
        self.tell = dspy.Predict("seen: list[str] -> story")

    def forward(self, text: str, image: dspy.Image | None = None) -> dspy.Prediction:
        return self.tell(seen=self.look(text=text, image=image).seen)


@case(
    {"question": "and then?", "history": dspy.History(messages=[{"question": "q", "answer": "a"}])},
    {"question": "and then?", "history": dspy.History(messages=[])},
    expected="kept",
    options={"keep": ["self"]},
)
def history_kept() -> dspy.Module:
    return dspy.Predict("question, history: dspy.History -> answer")


def weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"rain in {city}"


@case(
    T,
    expected="kept",
    options={"keep": ["act"]},
    settings=lambda: {"adapter": dspy.ChatAdapter(use_native_function_calling=True)},
)
class NativeTools(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.act = dspy.Predict("text, tools: list[dspy.Tool] -> answer, calls: dspy.ToolCalls")

    def forward(self, text: str) -> dspy.Prediction:
        return self.act(text=text, tools=[dspy.Tool(weather)])


@case(T, expected="kept", options={"keep": ["act"]})
class ToolsInText(NativeTools):
    """Without native function calling the tools stand in the prompt."""


@case(T)
def reasoning_output() -> dspy.Module:
    return dspy.Predict("text -> thoughts: dspy.Reasoning, answer")


@case(T)
def code_output() -> dspy.Module:
    return dspy.Predict(
        dspy.Signature({"text": (str, dspy.InputField()), "code": (dspy.Code["python"], dspy.OutputField())})
    )


@case({"code": dspy.Code(code="print(1)"), "text": "x"}, expected="kept", options={"keep": ["self"]})
def code_input() -> dspy.Module:
    return dspy.Predict(
        dspy.Signature(
            {
                "code": (dspy.Code, dspy.InputField()),
                "text": (str, dspy.InputField()),
                "answer": (str, dspy.OutputField()),
            }
        )
    )
