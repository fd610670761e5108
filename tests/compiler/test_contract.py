"""What a whole program promises: read where certain, never guessed, and never called direct when it is not."""

from __future__ import annotations

import sys
from typing import Any

import dspy
import pydantic
import pytest

from support.rendering import MODEL
from t0dspy.compiler.compile import compile_program
from t0dspy.compiler.contract import is_only_its_predictor, program_contract, read_contract
from t0dspy.compiler.forward import Uncertain
from t0dspy.errors import ContractError, ProgramError
from t0dspy.model import PromptForm
from t0dspy.program.signatures import load_signature


class Review(dspy.Signature):
    """Review it."""

    spec: str = dspy.InputField()
    depth: int = dspy.InputField(ge=1)
    verdict: bool = dspy.OutputField()
    notes: list[str] = dspy.OutputField(desc="short ones")


class Verdict(pydantic.BaseModel):
    good: bool


class Steps(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.plan = dspy.Predict("spec, depth: int -> steps: list[str]")
        self.review = dspy.ChainOfThought("steps: list[str] -> verdict: bool, notes")
        self.full = dspy.Predict(Review)
        self.all = [dspy.Predict("spec -> verdict: bool")]


class Hinted(Steps):
    def forward(self, spec: str, depth: int = 2) -> dspy.Prediction:
        steps = self.plan(spec=spec, depth=depth).steps
        return self.review(steps=steps)


class ByUse(Steps):
    def forward(self, spec, depth):
        plan = self.plan(spec=spec, depth=depth)
        return dspy.Prediction(steps=plan.steps)


class ByVariable(Steps):
    def forward(self, spec: str):
        plan = self.plan(spec=spec, depth=1)
        review = self.review(steps=plan.steps)
        return review  # noqa: RET504


class Mixed(Steps):
    def forward(self, spec: str):
        """With words."""
        plan = self.plan(spec=spec, depth=1)
        review = self.review(steps=plan.steps)
        return dspy.Prediction(notes=review.notes, steps=plan.steps)


class Several(Steps):
    def forward(self, spec: str):
        first = self.all[0](spec=spec)
        if first.verdict:
            return first
        return self.all[0](spec=spec + "!")


class Keyword(Steps):
    def forward(self, *, spec: str, depth: int):
        return self.full(spec=spec, depth=depth)


class Nested(Steps):
    def forward(self, spec: str):
        def shorten(text):
            return text[:10]

        result = self.all[0](spec=shorten(spec))
        return result  # noqa: RET504


class Deep(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Hinted()

    def forward(self, spec: str):
        return self.inner(spec=spec, depth=1)


CERTAIN = [
    (Hinted, ["spec: str", "depth: int = 2"], ["reasoning: str", "verdict: bool", "notes: str"]),
    (ByUse, ["spec: str", "depth: int"], ["steps: list[str]"]),
    (ByVariable, ["spec: str"], ["reasoning: str", "verdict: bool", "notes: str"]),
    (Mixed, ["spec: str"], ["notes: str", "steps: list[str]"]),
    (Several, ["spec: str"], ["verdict: bool"]),
    (Keyword, ["spec: str", "depth: int"], ["verdict: bool", "notes: list[str]"]),
    (Nested, ["spec: str"], ["verdict: bool"]),
    (Deep, ["spec: str"], ["reasoning: str", "verdict: bool", "notes: str"]),
]


def shown(fields: Any) -> list[str]:
    """Fields as people write them."""
    return [
        f"{name}: {_kind(one)}" + ("" if one.is_required() else f" = {one.default}") for name, one in fields.items()
    ]


def _kind(field: Any) -> str:
    plain = isinstance(field.annotation, type) and not getattr(field.annotation, "__args__", ())
    return field.annotation.__name__ if plain else str(field.annotation)


@pytest.mark.parametrize(("kind", "inputs", "outputs"), CERTAIN, ids=lambda one: getattr(one, "__name__", ""))
def test_contracts_that_forward_says(kind: Any, inputs: list[str], outputs: list[str]) -> None:
    """Typed parameters, use by name, results handed on and `dspy.Prediction(...)` say a contract for certain."""
    contract = read_contract(kind())
    assert shown(contract.input_fields) == inputs
    assert shown(contract.output_fields) == outputs


class Untyped(Steps):
    def forward(self, spec):
        return self.all[0](spec=spec.strip())


class TwoTypes(Steps):
    def forward(self, spec):
        self.full(spec="x", depth=spec)
        return self.all[0](spec=spec)


class Reassigned(Steps):
    def forward(self, spec):
        spec = spec.strip()
        return self.all[0](spec=spec)


class Kwargs(Steps):
    def forward(self, **kwargs):
        return self.full(**kwargs)


class Args(Steps):
    def forward(self, *args):
        return self.full(spec=args[0], depth=1)


class ReturnsText(Steps):
    def forward(self, spec: str):
        return self.all[0](spec=spec).verdict


class ReturnsComputed(Steps):
    def forward(self, spec: str):
        plan = self.plan(spec=spec, depth=1)
        return dspy.Prediction(count=len(plan.steps))


class ReturnsSpread(Steps):
    def forward(self, spec: str):
        plan = self.plan(spec=spec, depth=1)
        return dspy.Prediction(**plan)


class ReturnsPositional(Steps):
    def forward(self, spec: str):
        plan = self.plan(spec=spec, depth=1)
        return dspy.Prediction(plan)


class ReturnsEither(Steps):
    def forward(self, spec: str):
        if spec:
            return self.all[0](spec=spec)
        return self.plan(spec=spec, depth=1)


class MayReturnNothing(Steps):
    def forward(self, spec: str):  # noqa: RET503
        if spec:
            return self.all[0](spec=spec)


class AssignedTwice(Steps):
    def forward(self, spec: str):
        result = self.all[0](spec=spec)
        if not result.verdict:
            result = self.plan(spec=spec, depth=1)
        return result


class AssignedInLoop(Steps):
    def forward(self, spec: str):
        for result in [self.all[0](spec=spec)]:  # noqa: B007
            pass
        return result


class Walrus(Steps):
    def forward(self, spec: str):
        if (result := self.all[0](spec=spec)).verdict:
            result = self.plan(spec=spec, depth=1)
        return result


class ByWith(Steps):
    def forward(self, spec: str):
        result = self.all[0](spec=spec)
        with open(spec) as result:  # noqa: F811
            pass
        return result


class Changed(Steps):
    def forward(self, spec: str):
        result = self.all[0](spec=spec)
        result.verdict = "perhaps"
        return result


class ChangedByItem(Steps):
    def forward(self, spec: str):
        result = self.all[0](spec=spec)
        result["more"] = 1
        return result


class ChangedByMethod(Steps):
    def forward(self, spec: str):
        result = self.all[0](spec=spec)
        setattr(result, "verdict", "perhaps")  # noqa: B010
        return result


class Deleted(Steps):
    def forward(self, spec: str):
        result = self.all[0](spec=spec)
        del result.verdict
        return result


class InputIsOutput(Steps):
    def forward(self, steps: str):
        plan = self.plan(spec=steps, depth=1)
        return dspy.Prediction(steps=plan.steps)


class NoForward(Steps):
    pass


class BadHint(Steps):
    def forward(self, spec: Missing):  # noqa: F821
        return self.all[0](spec=spec)


class Generator(Steps):
    def forward(self, spec: str):
        yield spec
        return self.all[0](spec=spec)


class Decorated(Steps):
    @staticmethod
    def change(function):
        return lambda self, spec: dspy.Prediction(other=1)

    @change
    def forward(self, spec: str):
        return self.all[0](spec=spec)


class OwnCall(Steps):
    def __call__(self, spec: str):
        return {"other": 1}

    def forward(self, spec: str):
        return self.all[0](spec=spec)


UNCERTAIN = [
    *(Untyped, TwoTypes, Reassigned, Kwargs, Args, ReturnsText, ReturnsComputed, ReturnsSpread, ReturnsPositional),
    *(ReturnsEither, MayReturnNothing, AssignedTwice, AssignedInLoop, Walrus, ByWith, Changed, ChangedByItem),
    *(ChangedByMethod, Deleted, InputIsOutput, NoForward, BadHint, Generator, Decorated, OwnCall),
]


@pytest.mark.parametrize("kind", UNCERTAIN)
def test_contracts_that_are_not_certain_are_not_guessed(kind: Any) -> None:
    """The user is asked to say the contract, and told how and why."""
    with pytest.raises(ContractError) as caught:
        program_contract(kind(), None)
    assert str(caught.value).startswith(
        f"what {kind.__name__} takes and returns cannot be read from its code with certainty: "
    )
    assert "Say it with --signature 'spec -> review' (or `signature` in the program's settings)" in str(caught.value)
    assert str(caught.value).endswith("or export its predictors alone with --stages-only.")


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


class HandedOn(Steps):
    def forward(self, spec: str):
        result = self.all[0](spec=spec)
        self.improve(result)
        return result


class Excepted(Steps):
    def forward(self, spec: str):
        result = self.all[0](spec=spec)
        try:
            spec.strip()
        except ValueError as result:
            print(result)
        return result


class Printed(Steps):
    def forward(self, spec: str):
        result = self.all[0](spec=spec)
        print(result)
        return result


def test_a_result_that_others_may_change_is_not_certain() -> None:
    """A helper that is handed a prediction may add fields to it; printing it does not."""
    for kind in (HandedOn, Excepted):
        with pytest.raises(Uncertain):
            read_contract(kind())
    assert list(read_contract(Printed()).output_fields) == ["verdict"]


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


def test_contracts_of_dspys_own_modules() -> None:
    """ReAct, BestOfN and a majority of equal programs promise what their signatures say."""
    react = dspy.ReAct("question -> answer: int", tools=[tool])
    assert list(read_contract(react).fields) == ["question", "answer"]
    best = dspy.BestOfN(dspy.ChainOfThought("question -> answer"), 2, reward, 1.0)
    assert list(read_contract(best).fields) == ["question", "reasoning", "answer"]
    programs = [dspy.Predict("question -> answer") for _ in range(2)]
    ensemble = dspy.Ensemble(reduce_fn=dspy.majority).compile(programs)
    assert list(read_contract(ensemble).fields) == ["question", "answer"]
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
    assert program_contract(Kwargs(), Review) is Review


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


def test_a_narrower_signature_needs_python_between() -> None:
    """A contract other than the predictor's own is not served by the predictor's prompt alone."""
    program = dspy.ChainOfThought("question -> answer")
    assert compile_program(program, form=PromptForm(), model=MODEL).direct
    narrow = dspy.Signature("question -> answer")
    assert not compile_program(program, form=PromptForm(), model=MODEL, signature=narrow).direct


def test_signatures_as_text_and_as_class() -> None:
    """`"spec -> review: Verdict"` finds types where the program is defined; a class is named by its path."""
    module = sys.modules[__name__]
    found = load_signature("spec: str, depth: int -> verdict: Verdict | None", Hinted())
    assert found.output_fields["verdict"].annotation == module.Verdict | None
    assert load_signature(f"{__name__}:Review", Hinted()).output_fields.keys() == {"verdict", "notes"}


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
    with pytest.raises(ProgramError, match="is no import path"):
        load_signature("review", Hinted())
