"""A contract is read from `forward` where it is certain and never guessed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NotRequired, TypedDict

import dspy
import pydantic
import pytest

from support.contracts import ByUse, Hinted, Kwargs, ReturnsComputed, Steps
from t0dspy.compiler.contract import program_contract, read_contract
from t0dspy.errors import ContractError


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


def shown(fields: Any) -> list[str]:
    """Fields as people write them."""
    return [
        f"{name}: {_kind(one)}" + ("" if one.is_required() else f" = {one.default}") for name, one in fields.items()
    ]


def _kind(field: Any) -> str:
    plain = isinstance(field.annotation, type) and not getattr(field.annotation, "__args__", ())
    return field.annotation.__name__ if plain else str(field.annotation)


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


class Args(Steps):
    def forward(self, *args):
        return self.full(spec=args[0], depth=1)


class ReturnsText(Steps):
    def forward(self, spec: str):
        return self.all[0](spec=spec).verdict


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


class Answer(pydantic.BaseModel):
    text: str
    score: int


class Parts(TypedDict):
    left: str
    right: NotRequired[int]


class Plain:
    def __init__(self) -> None:
        self.verdict = True


class Attribute(Steps):
    def forward(self, spec, depth: int):
        steps = self.plan(spec=spec, depth=depth).steps
        joined = "; ".join(steps)
        return dspy.Prediction(steps=steps, joined=joined.upper(), count=len(steps), first=steps[0], long=depth > 2)


class OnlyAsync(Steps):
    async def aforward(self, spec: str, depth: int = 4):
        plan = await self.plan.acall(spec=spec, depth=depth)
        return await self.review.acall(steps=plan.steps)


class KwargsOfTwo(Steps):
    def forward(self, extra: str, **kwargs):
        plan = self.plan(spec=extra, **kwargs)
        review = self.full(spec=kwargs["note"], depth=kwargs.get("level", 3))
        return dspy.Prediction(steps=plan.steps, verdict=review.verdict)


class AnnotatedText(Steps):
    def forward(self, spec: str) -> str:
        return unknown(spec)


class AnnotatedModel(Steps):
    def forward(self, spec: str) -> Answer:
        return unknown(spec)


class AnnotatedParts(Steps):
    def forward(self, spec: str) -> Parts:
        return unknown(spec)


class AnnotatedPrediction(Steps):
    def forward(self, spec: str) -> dspy.Prediction:
        return self.plan(spec=spec, depth=1)


class MakesModel(Steps):
    def forward(self, spec: str):
        return Answer(text=spec, score=1)


class ReturnsPair(Steps):
    def forward(self, spec: str):
        plan = self.plan(spec=spec, depth=1)
        return plan.steps, 2


class ReturnsDict(Steps):
    def forward(self, spec: str):
        return {"steps": self.plan(spec=spec, depth=1).steps, "ok": True}


class ByHelper(Steps):
    def forward(self, spec: str):
        return self.finish(self.plan(spec=spec, depth=1))

    def finish(self, plan):
        return dspy.Prediction(first=plan.steps, plan=plan)


class BranchesAlike(Steps):
    def forward(self, spec: str):
        try:
            if not spec:
                return dspy.Prediction(verdict=False)
            return self.all[0](spec=spec)
        except ValueError:
            return dspy.Prediction(verdict=None)


class BestOfList(Steps):
    def forward(self, spec: str):
        plans = []
        for depth in range(3):
            plans.append(self.plan(spec=spec, depth=depth))
        best = max(plans, key=lambda plan: len(plan.steps))
        return dspy.Prediction(steps=best.steps, all=[plan.steps for plan in plans])


class AppendsToUnknown(Steps):
    def forward(self, spec: str):
        texts = [unknown(spec)]
        texts.append("more")
        return dspy.Prediction(texts=texts, first=sorted(texts)[0])


class Unsendable(Steps):
    def forward(self, spec: str, callback: Callable[[str], None] | None = None, marker: object = Plain()):
        return self.all[0](spec=spec)


def unknown(spec: str):
    return globals()[spec]


class SpreadsUnknown(Steps):
    def forward(self, spec: str):
        return dspy.Prediction(**unknown(spec))


class KwargsElsewhere(Steps):
    def forward(self, **kwargs):
        unknown(kwargs)
        return self.all[0](spec="x")


class PredictionOrText(Steps):
    def forward(self, spec: str):
        return self.all[0](spec=spec) if spec else "nothing"


class ReturnsNothing(Steps):
    def forward(self, spec: str) -> None:
        self.all[0](spec=spec)


CERTAIN = [
    (Hinted, ["spec: str", "depth: int = 2"], ["reasoning: str", "verdict: bool", "notes: str"]),
    (ByUse, ["spec: str", "depth: int"], ["steps: list[str]"]),
    (ByVariable, ["spec: str"], ["reasoning: str", "verdict: bool", "notes: str"]),
    (Mixed, ["spec: str"], ["notes: str", "steps: list[str]"]),
    (Several, ["spec: str"], ["verdict: bool"]),
    (Keyword, ["spec: str", "depth: int"], ["verdict: bool", "notes: list[str]"]),
    (Nested, ["spec: str"], ["verdict: bool"]),
    (Deep, ["spec: str"], ["reasoning: str", "verdict: bool", "notes: str"]),
    (Untyped, ["spec: Any"], ["verdict: bool"]),
    (TwoTypes, ["spec: Any"], ["verdict: bool"]),
    (Reassigned, ["spec: Any"], ["verdict: bool"]),
    (Kwargs, ["spec: str", "depth: int"], ["verdict: bool", "notes: list[str]"]),
    (KwargsOfTwo, ["extra: str", "depth: int", "note: Any", "level: Any = 3"], ["steps: list[str]", "verdict: bool"]),
    (OnlyAsync, ["spec: str", "depth: int = 4"], ["reasoning: str", "verdict: bool", "notes: str"]),
    (Unsendable, ["spec: str", "marker: object = None"], ["verdict: bool"]),
    (
        Attribute,
        ["spec: str", "depth: int"],
        ["steps: list[str]", "joined: str", "count: int", "first: str", "long: bool"],
    ),
    (ReturnsText, ["spec: str"], ["verdict: bool"]),
    (ReturnsComputed, ["spec: str"], ["count: int"]),
    (ReturnsSpread, ["spec: str"], ["steps: list[str]"]),
    (ReturnsPositional, ["spec: str"], ["steps: list[str]"]),
    (ReturnsPair, ["spec: str"], ["answer: tuple[list[str], int]"]),
    (ReturnsDict, ["spec: str"], ["steps: list[str]", "ok: bool"]),
    (ReturnsEither, ["spec: str"], ["steps: list[str] = None", "verdict: bool = None"]),
    (MayReturnNothing, ["spec: str"], ["verdict: bool = None"]),
    (BranchesAlike, ["spec: str"], ["verdict: typing.Optional[bool]"]),
    (AssignedTwice, ["spec: str"], ["verdict: bool = None", "steps: list[str] = None"]),
    (AssignedInLoop, ["spec: str"], ["verdict: bool"]),
    (Walrus, ["spec: str"], ["steps: list[str] = None", "verdict: bool = None"]),
    (Changed, ["spec: str"], ["verdict: str"]),
    (ChangedByItem, ["spec: str"], ["verdict: bool", "more: int"]),
    (ByHelper, ["spec: str"], ["first: list[str]", "plan: dict[str, typing.Any]"]),
    (BestOfList, ["spec: str"], ["steps: list[str]", "all: list[list[str]]"]),
    (AppendsToUnknown, ["spec: str"], ["texts: list[typing.Any]", "first: Any"]),
    (AnnotatedText, ["spec: str"], ["answer: str"]),
    (AnnotatedModel, ["spec: str"], ["answer: Answer"]),
    (AnnotatedParts, ["spec: str"], ["left: str", "right: int = None"]),
    (AnnotatedPrediction, ["spec: str"], ["steps: list[str]"]),
    (MakesModel, ["spec: str"], ["answer: Answer"]),
    (Printed, ["spec: str"], ["verdict: bool"]),
    (InputIsOutput, ["steps: str"], ["steps: list[str]"]),
]


@pytest.mark.parametrize(("kind", "inputs", "outputs"), CERTAIN, ids=lambda one: getattr(one, "__name__", ""))
def test_contracts_that_forward_says(kind: Any, inputs: list[str], outputs: list[str]) -> None:
    """Parameters, calls of predictors and returned values give names and types; a computed value may have any type."""
    contract = read_contract(kind())
    assert shown(contract.input_fields) == inputs
    assert shown(contract.output_fields) == outputs


UNCERTAIN = [
    *(Args, SpreadsUnknown, KwargsElsewhere, PredictionOrText, ByWith, ChangedByMethod, Deleted),
    *(BadHint, Generator, Decorated, OwnCall, HandedOn, Excepted, ReturnsNothing),
]


@pytest.mark.parametrize("kind", UNCERTAIN)
def test_contracts_that_are_not_certain_are_not_guessed(kind: Any) -> None:
    """The user is asked to say the contract, and told how and why."""
    with pytest.raises(ContractError) as caught:
        program_contract(kind(), None)
    assert str(caught.value).startswith(
        f"the inputs and outputs of {kind.__name__} cannot be read from its code with certainty: "
    )
    assert "State them with --signature '" in str(caught.value)
    assert str(caught.value).endswith("or export its predictors alone with --stages-only.")


def test_the_flag_that_states_the_contract() -> None:
    """The error contains the flag to paste, with the inputs that are known and a guess of the outputs."""
    for kind, flag in (
        (SpreadsUnknown, "--signature 'spec: str -> verdict: bool'"),
        (KwargsElsewhere, "--signature 'question -> verdict: bool'"),
    ):
        with pytest.raises(ContractError) as caught:
            program_contract(kind(), None)
        assert f"State them with {flag} (or `signature` in the program's settings)" in str(caught.value)


def test_a_module_that_cannot_be_called() -> None:
    """Without `forward` and `aforward`, a stated signature does not help either."""
    for given in (None, dspy.Signature("spec -> verdict")):
        with pytest.raises(ContractError, match="NoForward has neither `forward` nor `aforward`"):
            program_contract(NoForward(), given)
