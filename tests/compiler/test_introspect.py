"""Programs that cannot be served are refused with the predictor's name, the reason and what to do."""

import warnings
from collections.abc import Callable
from typing import Any

import dspy
import numpy as np
import pytest
from dspy.teleprompt import KNNFewShot

from support.refusals import Base, Directly, refusals
from support.rendering import MODEL
from t0dspy.compiler.compile import compile_program
from t0dspy.errors import CompileError
from t0dspy.model import PromptForm


def search(query: str) -> str:
    """Find it."""
    return query


def reward(args: dict[str, Any], prediction: dspy.Prediction) -> float:
    return 1.0


def knn() -> dspy.Module:
    class Vectorizer:
        def __call__(self, texts: Any) -> Any:
            return np.ones((len(texts), 2), dtype=np.float32)

    trainset = [dspy.Example(question="a", answer="b").with_inputs("question")]
    return KNNFewShot(1, trainset, vectorizer=Vectorizer()).compile(dspy.Predict("question -> answer"))


class Around(dspy.Module):
    """A program with one module inside."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, question: str) -> dspy.Prediction:
        return self.inner(question=question)


def quietly(make: Callable[[], dspy.Module]) -> dspy.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make()


MODULES = [
    (lambda: dspy.RLM("question -> answer"), "dspy.RLM rewrites its instructions", "Or pass --keep"),
    (lambda: dspy.Flex("question -> answer"), "dspy.Flex is code", "Use dspy.Predict"),
    (
        lambda: dspy.ReActV2("question -> answer", tools=[search]),
        "dspy.ReActV2 sends native tool calls",
        "Use dspy.ReAct",
    ),
    (
        lambda: dspy.Refine(dspy.Predict("question -> answer"), 2, reward, 1.0),
        "dspy.Refine adds a `hint_`",
        "Use dspy.BestOfN",
    ),
    (lambda: dspy.ProgramOfThought("question -> answer"), "dspy.ProgramOfThought is deprecated", "Use dspy.ReAct"),
    (lambda: dspy.CodeAct("question -> answer", tools=[search]), "dspy.CodeAct is deprecated", "Use dspy.ReAct"),
    (knn, "its `forward` was replaced on the instance, as KNNFewShot does", "Compile with BootstrapFewShot or MIPROv2"),
]


@pytest.mark.parametrize(("make", "reason", "remedy"), MODULES, ids=range(len(MODULES)))
@pytest.mark.parametrize("inside", [False, True])
def test_modules_that_no_prompt_can_hold(make: Any, reason: str, remedy: str, inside: bool) -> None:
    """RLM, Flex, ReActV2, Refine, code-running modules and KNNFewShot's results are refused, alone or inside."""
    module = quietly(make)
    found = refusals(Around(module) if inside else module)
    assert len(found) == 1
    assert found[0].startswith("inner: " if inside else "the predictor: ")
    assert reason in found[0]
    assert remedy in found[0]
    assert found[0].endswith(f"Or pass --keep {'inner' if inside else 'self'}, so that it runs in Python through DSPy.")


class Picture(dspy.Module):
    def __init__(self, annotation: Any, output: bool = False) -> None:
        super().__init__()
        field = dspy.OutputField() if output else dspy.InputField()
        other = dspy.InputField() if output else dspy.OutputField()
        self.see = dspy.Predict(dspy.make_signature({"other": (str, other), "thing": (annotation, field)}))


CUSTOM = [dspy.Image, dspy.History, dspy.Tool, dspy.Audio, dspy.Code, list[dspy.Image], dspy.Image | None]
CUSTOM += [dict[str, list[dspy.Tool]], list[dspy.Tool], dspy.Image | str, tuple[int, dspy.Image]]


@pytest.mark.parametrize("annotation", CUSTOM, ids=range(len(CUSTOM)))
def test_inputs_that_are_more_than_text(annotation: Any) -> None:
    """Images, tools and history are refused by name, also inside lists, unions and dicts."""
    (found,) = refusals(Picture(annotation))
    assert found.startswith("see, field 'thing': type dspy.")
    assert found.endswith(
        "is sent to a model as more than text. Give the field a JSON type. "
        "Or pass --keep see, so that it runs in Python through DSPy."
    )


@pytest.mark.parametrize("annotation", [dspy.ToolCalls, list[dspy.Image]], ids=str)
def test_outputs_that_are_more_than_text(annotation: Any) -> None:
    """A predictor that answers with tool calls or images is refused as well."""
    assert "field 'thing': type dspy." in refusals(Picture(annotation, output=True))[0]


@pytest.mark.parametrize(
    "annotation", [Callable[[], int], list[Callable[[], int]], dict[str, Callable[[], int]] | None], ids=str
)
def test_types_without_a_json_form(annotation: Any) -> None:
    """A type that has no JSON Schema is refused with the field it stands at."""
    (found,) = refusals(Picture(annotation))
    assert found.startswith("see, field 'thing': type ")
    assert "has no JSON Schema" in found
    assert "Give the field a JSON type." in found


def frozen() -> dspy.Module:
    inner = dspy.ChainOfThought("question -> answer")
    inner._compiled = True
    return Around(inner)


HIDDEN = [
    (frozen, "inner.predict: is hidden from `named_predictors()`: it is in a frozen submodule"),
    (lambda: Around([[dspy.Predict("question -> answer")]]), "inner[0][0]: is hidden"),
    (lambda: Around({"k": [dspy.Predict("question -> answer")]}), "inner[k][0]: is hidden"),
    (lambda: Around([(dspy.ChainOfThought("question -> answer"),)]), "inner[0][0].predict: is hidden"),
    (
        lambda: Around({dspy.Predict("question -> answer")}),
        "inner[0]: is a predictor where DSPy does not find it: in a set",
    ),
    (
        lambda: Around(frozenset([dspy.ChainOfThought("question -> answer")])),
        "inner[0]: is a predictor where DSPy does not find it: in a set",
    ),
    (lambda: Around([{dspy.Predict("question -> answer")}]), "inner[0][0]: is a predictor where"),
    (lambda: Around(Plain(dspy.Predict("question -> answer"))), "inner.step: is a predictor where"),
    (lambda: Around(dspy.ReAct("question -> answer", tools=[asking()])), "inner.tools['ask'].func: is a predictor"),
]


def asking() -> dspy.Tool:
    return dspy.Tool(dspy.Predict("question -> answer"), name="ask", desc="asks", args={})


class Plain:
    """An object of the user's that is no dspy.Module."""

    def __init__(self, step: Any) -> None:
        self.step = step

    def __call__(self, **inputs: Any) -> Any:
        return self.step(**inputs)


@pytest.mark.parametrize(("make", "start"), HIDDEN, ids=range(len(HIDDEN)))
def test_predictors_that_dspy_does_not_list(make: Any, start: str) -> None:
    """A predictor that no optimizer and no state sees would be served with a prompt nobody chose."""
    found = refusals(make())
    assert [one for one in found if one.startswith(start)], found


@pytest.mark.parametrize("name", ["model", "api_base", "base_url"])
def test_a_config_that_selects_another_lm_is_refused(name: str) -> None:
    """The transport finds the model by the LM, so that a call cannot replace a part of it."""
    (found,) = refusals(dspy.Predict("question -> answer", **{name: "openai/other"}))
    assert found.startswith(f"the predictor, setting {name!r}: is not an option of a call")
    assert "Give the predictor an LM of its own" in found


class MyAdapter(dspy.ChatAdapter):
    pass


@pytest.mark.parametrize(
    "adapter",
    [dspy.TwoStepAdapter(dspy.LM("openai/x")), MyAdapter()],
    ids=lambda one: type(one).__name__,
)
def test_adapters_that_no_template_prints(adapter: dspy.Adapter) -> None:
    """A program optimized under another adapter is not served in a text that it was never measured with."""
    with dspy.context(adapter=adapter), pytest.raises(CompileError) as caught:
        compile_program(dspy.Predict("question -> answer"), model=MODEL)
    assert str(caught.value) == (
        f"cannot compile adapter {type(adapter).__name__}: writes prompts that exported templates cannot reproduce. "
        "Optimize under dspy.ChatAdapter, dspy.JSONAdapter, dspy.XMLAdapter or t0dspy.ServedAdapter, or pass "
        "--adapter. Or pass --keep self, so that they run in Python through DSPy."
    )


def test_all_reasons_are_told_at_once() -> None:
    """One run of export names everything that has to change."""
    program = Base()
    program.picture = Picture(list[dspy.Image])
    program.code = quietly(lambda: dspy.ProgramOfThought("question -> answer"))
    program.nested = [[dspy.Predict("question -> answer")]]
    program.creating = Directly()
    program.named = dspy.Predict(
        dspy.make_signature({"true": (str, dspy.InputField()), "é": (str, dspy.OutputField())})
    )
    wheres = [one.partition(":")[0] for one in refusals(program)]
    assert sorted(wheres) == [
        "code",
        "creating",
        "named, field 'true'",
        "named, field 'é'",
        "nested[0][0]",
        "picture.see, field 'thing'",
    ]


def test_a_program_without_predictors_is_refused() -> None:
    """There would be nothing to serve."""
    assert refusals(dspy.Module()) == [
        "the program: has no predictors. Export a dspy.Module with a dspy.Predict in it. "
        "Or pass --keep self, so that it runs in Python through DSPy."
    ]


def test_a_predictor_used_twice_is_exported_once() -> None:
    """The same object under two names is one predictor, as in DSPy."""
    program = Base()
    program.again = program.step
    compiled = compile_program(program, form=PromptForm(), model=MODEL, stages_only=True)
    assert [one.path for one in compiled.predictors] == ["step", "steps[0]"]


def test_servable_modules_compile() -> None:
    """Predict, ChainOfThought, ReAct, MultiChainComparison, BestOfN, Ensemble, lists, dicts and tuples."""
    program = Base()
    program.react = dspy.ReAct("question -> answer", tools=[search])
    program.compare = quietly(lambda: dspy.MultiChainComparison("question -> answer"))
    program.best = dspy.BestOfN(dspy.ChainOfThought("question -> answer"), 2, reward, 1.0)
    program.by_name = {"it's": dspy.Predict("a -> b"), "k": dspy.ChainOfThought("a -> b")}
    program.pair = (dspy.Predict("a -> b"), Base())
    assert refusals(program) == []
    compiled = compile_program(program, form=PromptForm("json", "system"), model=MODEL, stages_only=True)
    assert [one.path for one in compiled.predictors] == [path for path, _ in program.named_predictors()]
    assert len(compiled.predictors) == 11


def test_nothing_of_the_program_runs_while_it_is_compiled() -> None:
    """Compiling reads a program; it calls neither `forward` nor a property."""

    class Touchy(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.step = dspy.Predict("question -> answer")

        @property
        def dangerous(self) -> Any:
            raise AssertionError("was read")

        def forward(self, question: str) -> Any:
            raise AssertionError("was run")

    assert refusals(Touchy()) == []
