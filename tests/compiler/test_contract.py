"""What a whole program promises: read where certain, never guessed, and never called direct when it is not."""

from __future__ import annotations

from typing import Any

import dspy
import pytest

from support.contracts import ByUse, Hinted, Kwargs, ReturnsComputed, Review, Verdict
from support.rendering import MODEL
from t0dspy.compiler.compile import compile_program
from t0dspy.compiler.contract import is_only_its_predictor, program_contract, read_contract
from t0dspy.compiler.function_source import Uncertain
from t0dspy.errors import ContractError, ProgramError
from t0dspy.model import PromptForm
from t0dspy.program.signatures import load_signature


class Pass(dspy.Module):
    def __init__(self, inner: Any = None) -> None:
        super().__init__()
        self.p = inner or dspy.Predict(Review)

    def forward(self, spec, depth):
        """Hand on."""
        return self.p(spec=spec, depth=depth)


class PassKwargs(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.p = [dspy.ChainOfThought(Review)]

    def forward(self, **kwargs):
        return self.p[0](**kwargs)


class PassKeyword(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.p = Pass()

    def forward(self, *, depth: int, spec: str):
        return self.p(spec=spec, depth=depth)


@pytest.mark.parametrize(
    "make", [lambda: dspy.Predict(Review), lambda: dspy.ChainOfThought(Review), Pass, PassKwargs, PassKeyword]
)
def test_programs_that_are_only_their_predictor(make: Any) -> None:
    """A predictor, or a wrapper that hands every input on, is served with no Python at all."""
    assert is_only_its_predictor(make())
    compiled = compile_program(make(), form=PromptForm(), model=MODEL)
    assert compiled.direct
    assert compiled.code_hash is None


class Swaps(Pass):
    def forward(self, spec, depth):
        return self.p(spec=depth, depth=spec)


class Fixes(Pass):
    def forward(self, spec, depth):
        return self.p(spec=spec, depth=3)


class Defaults(Pass):
    def forward(self, spec, depth=3):
        return self.p(spec=spec, depth=depth)


class Drops(Pass):
    def forward(self, spec, depth, more):
        return self.p(spec=spec, depth=depth)


class Changes(Pass):
    def forward(self, spec, depth):
        spec = spec.strip()
        return self.p(spec=spec, depth=depth)


class Asserts(Pass):
    def forward(self, spec, depth):
        assert spec
        return self.p(spec=spec, depth=depth)


class Configures(Pass):
    def forward(self, spec, depth):
        return self.p(spec=spec, depth=depth, config={"temperature": 1.0})


class ConfiguresAll(Pass):
    def forward(self, **kwargs):
        return self.p(config={"temperature": 1.0}, **kwargs)


class Calls(Pass):
    def __call__(self, **inputs):
        return super().__call__(**{**inputs, "depth": 2})

    def forward(self, spec, depth):
        return self.p(spec=spec, depth=depth)


class DefaultKeyword(Pass):
    def forward(self, *, spec, depth=1):
        return self.p(spec=spec, depth=depth)


class OwnPredict(dspy.Predict):
    def forward(self, **kwargs):
        return super().forward(**{**kwargs, "depth": 2})


class Async(Pass):
    def forward(self, spec, depth):
        return self.p(spec=spec, depth=depth)

    async def aforward(self, spec, depth):
        return await self.p.acall(spec=spec.strip(), depth=depth)


class Postponed(Pass):
    def forward(self, spec, depth):
        return self.p(spec=spec, depth=depth).verdict


class TwoPredictors(Pass):
    def __init__(self) -> None:
        super().__init__()
        self.other = dspy.Predict("a -> b")

    def forward(self, spec, depth):
        return self.p(spec=spec, depth=depth)


CHANGING = [
    *(Swaps, Fixes, Defaults, Drops, Changes, Asserts, Configures, ConfiguresAll, Calls, DefaultKeyword, Async),
    *(lambda: Pass(OwnPredict(Review)), Postponed),
]


@pytest.mark.parametrize("make", CHANGING, ids=lambda one: one.__name__)
def test_programs_that_do_something_of_their_own(make: Any) -> None:
    """Whatever a wrapper adds, drops, fixes or checks keeps its Python between the caller and the predictor."""
    assert not is_only_its_predictor(_flat(make)() if isinstance(make, type) else make())


def _flat(kind: type) -> type:
    """The class without Pass between it and dspy.Module, so that it is its own methods that decide."""
    return type(kind.__name__, (dspy.Module,), {**vars(kind), "__init__": _init})


def _init(self: Any) -> None:
    dspy.Module.__init__(self)
    self.p = dspy.Predict(Review)


def test_a_flat_wrapper_is_its_predictor() -> None:
    """What makes the wrappers above indirect is what they do, and nothing else."""
    assert is_only_its_predictor(_flat(Pass)())


def test_a_direct_programs_contract_is_its_predictors() -> None:
    """The order and types are those that the prompt was written for, whatever the wrapper's parameters say."""
    for make in (Pass, PassKwargs, PassKeyword):
        assert list(read_contract(make()).input_fields) == ["spec", "depth"]


def test_a_wrapper_with_a_predictor_it_never_calls_is_not_direct() -> None:
    """Every predictor of a program has its function, also one that `forward` leaves out."""
    compiled = compile_program(TwoPredictors(), form=PromptForm(), model=MODEL)
    assert [one.path for one in compiled.predictors] == ["p", "other"]
    assert not compiled.direct


def tool(query: str) -> str:
    """Finds."""
    return query


def reward(args: Any, prediction: Any) -> float:
    return 1.0


def names_of(program: dspy.Module) -> list[str]:
    """The names of inputs and outputs."""
    contract = read_contract(program)
    return [*contract.input_fields, *contract.output_fields]


def test_contracts_of_dspys_own_modules() -> None:
    """ReAct, BestOfN and a majority of equal programs promise what their signatures say."""
    react = dspy.ReAct("question -> answer: int", tools=[tool])
    assert names_of(react) == ["question", "answer"]
    best = dspy.BestOfN(dspy.ChainOfThought("question -> answer"), 2, reward, 1.0)
    assert names_of(best) == ["question", "reasoning", "answer"]
    programs = [dspy.Predict("question -> answer") for _ in range(2)]
    ensemble = dspy.Ensemble(reduce_fn=dspy.majority).compile(programs)
    assert names_of(ensemble) == ["question", "answer"]
    for unclear in (
        dspy.Ensemble(reduce_fn=None).compile(programs),
        dspy.Ensemble(reduce_fn=dspy.majority).compile([*programs, dspy.Predict("question -> other")]),
        dspy.MultiChainComparison.__new__(dspy.MultiChainComparison),
    ):
        with pytest.raises(Uncertain):
            read_contract(unclear)


def test_a_given_signature_is_the_contract() -> None:
    """`--signature` settles what the code leaves open."""
    assert program_contract(ReturnsComputed(), dspy.Signature("spec -> count: int")).output_fields.keys() == {"count"}
    assert program_contract(Kwargs(), Review).inputs is Review


MISFITS = [
    (Hinted, "depth: int -> notes", "the signature lacks the input 'spec', which Hinted.forward needs."),
    (Hinted, "spec, more -> notes", "the signature has the input 'more', which Hinted.forward does not take."),
    (
        Hinted,
        "spec -> review",
        "the signature has the output 'review', but Hinted.forward returns ['notes', 'reasoning', 'verdict'].",
    ),
    (ByUse, "spec -> steps", "the signature lacks the input 'depth', which ByUse.forward needs."),
]


@pytest.mark.parametrize(("kind", "given", "reason"), MISFITS)
def test_a_given_signature_that_does_not_fit(kind: Any, given: str, reason: str) -> None:
    """What `forward` contradicts for certain is refused."""
    with pytest.raises(ContractError) as caught:
        program_contract(kind(), dspy.Signature(given))
    assert str(caught.value) == reason


class Styled(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.write = dspy.Predict("topic, style, size: int -> text: str, score: int")

    async def aforward(self, topic: str, style="plain", size: int = 3):
        written = await self.write.acall(topic=topic, style=style, size=size)
        return dspy.Prediction(text=written.text, score=written.score, more=dict(written))


class Rated(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        rating = dspy.OutputField(ge=0, le=100, desc="percent")
        self.rate = dspy.Predict(dspy.Signature("text -> note").append("rating", rating, int))

    def forward(self, text: str):
        return dspy.Prediction(rating=self.rate(text=text).rating)


class Text(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.write = dspy.Predict("topic -> text: str")

    def forward(self, topic: str) -> str:
        return self.write(topic=topic).text


def test_a_given_signature_is_completed_from_the_code() -> None:
    """Defaults stay, and fields without a type get the type that the code shows."""
    contract = program_contract(Styled(), load_signature("topic, style, size -> text, score, more", Styled()))
    assert contract.input_fields["style"].default == "plain"
    assert contract.input_fields["size"].default == 3
    assert contract.input_fields["topic"].is_required()
    types = {name: info.annotation for name, info in contract.inputs.fields.items()}
    assert types == {"topic": str, "style": str, "size": int, "text": str, "score": int, "more": dict[str, Any]}
    schema = compile_program(Styled(), form=PromptForm(), model=MODEL, signature=contract.inputs).contract.inputs
    assert schema["required"] == ["topic"]


def test_bounds_are_not_part_of_a_programs_contract() -> None:
    """DSPy returns a value that breaks the bounds of its field, so the exported schema accepts it."""
    contract = compile_program(Rated(), form=PromptForm(), model=MODEL).contract
    assert contract.outputs["properties"] == {"rating": {"type": "integer"}}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (
            "topic -> text: int",
            "the output 'text' of type int, but Text.forward returns the type str.",
        ),
        ("topic -> text, more", "2 outputs, but Text.forward returns one value of the type str."),
    ],
)
def test_a_given_signature_whose_types_do_not_fit(given: str, reason: str) -> None:
    """A returned value that cannot have the stated type is refused."""
    with pytest.raises(ContractError) as caught:
        program_contract(Text(), load_signature(given, Text()))
    assert str(caught.value) == f"the signature has {reason}"


def test_a_returned_value_is_the_only_output() -> None:
    """Any name can be stated for it."""
    contract = program_contract(Text(), load_signature("topic -> essay", Text()))
    assert {name: info.annotation for name, info in contract.output_fields.items()} == {"essay": str}


def test_a_narrower_signature_needs_python_between() -> None:
    """A contract other than the predictor's own is not served by the predictor's prompt alone."""
    program = dspy.ChainOfThought("question -> answer")
    assert compile_program(program, form=PromptForm(), model=MODEL).direct
    narrow = dspy.Signature("question -> answer")
    assert not compile_program(program, form=PromptForm(), model=MODEL, signature=narrow).direct


def test_signatures_as_text_and_as_class() -> None:
    """`"spec -> review: Verdict"` finds types where the program is defined; a class is named by its path."""
    found = load_signature("spec: str, depth: int -> verdict: Verdict | None", Hinted())
    assert found.output_fields["verdict"].annotation == Verdict | None
    assert load_signature("support.contracts:Review", Hinted()).output_fields.keys() == {"verdict", "notes"}


@pytest.mark.parametrize(
    "text", ["spec ->", "spec -> a: NoSuchType", "spec -> a b", "a -> a", "->", "spec -> a: list["]
)
def test_signatures_that_cannot_be_read(text: str) -> None:
    """The text is shown with the reason."""
    with pytest.raises(ContractError, match="cannot be read"):
        load_signature(text, Hinted())


def test_paths_that_are_no_signature() -> None:
    """A path to something else, or to nothing, says so."""
    with pytest.raises(ContractError, match="is not a dspy.Signature class"):  # noqa: RUF043
        load_signature(f"{__name__}:Hinted", Hinted())
    with pytest.raises(ProgramError, match="has no 'Nothing'"):
        load_signature(f"{__name__}:Nothing", Hinted())
    with pytest.raises(ProgramError, match="is not an import path"):
        load_signature("review", Hinted())
