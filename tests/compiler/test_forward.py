"""A contract is read from `forward` where it is certain and never guessed."""

from __future__ import annotations

from typing import Any

import dspy
import pytest

from support.contracts import ByUse, Hinted, Kwargs, ReturnsComputed, Steps
from t0dspy.compiler.contract import program_contract, read_contract
from t0dspy.compiler.forward import Uncertain
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
        f"the inputs and outputs of {kind.__name__} cannot be read from its code with certainty: "
    )
    assert "State them with --signature 'spec -> review' (or `signature` in the program's settings)" in str(
        caught.value
    )
    assert str(caught.value).endswith("or export its predictors alone with --stages-only.")


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
