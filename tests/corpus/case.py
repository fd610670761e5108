"""Declare programs of the corpus: one construct each, with inputs and the outcome that its export and calls have."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import dspy

Expected = Literal["identical", "kept", "refused at export", "refused at the call"]

SMALL = "openai/gpt-4o-mini"
BIG = "openai/gpt-4o"


@dataclass(frozen=True)
class Case:
    """A program, the inputs that it is called with, and what it is expected to be once it is exported."""

    name: str
    make: Callable[[], dspy.Module]
    inputs: Sequence[Mapping[str, Any]]
    expected: Expected = "identical"
    because: str = ""
    """A part of the error of a refusal."""
    settings: Callable[[], Mapping[str, Any]] = dict
    """DSPy's settings beside the LM: an adapter, a retriever, other LMs."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of `t0dspy.export`."""
    refused: Sequence[int] = ()
    """The indices of inputs that are refused at the call although the others are not."""
    unprovable: bool | None = False
    """Whether two plain runs differ; None if they may."""


CASES: list[Case] = []


def case(*inputs: Mapping[str, Any], **about: Any) -> Callable[[Callable[[], dspy.Module]], Callable[[], dspy.Module]]:
    """Add the decorated function or class, which makes a program, to the corpus."""

    def add(make: Callable[[], dspy.Module]) -> Callable[[], dspy.Module]:
        CASES.append(Case(make.__name__, make, inputs, **about))
        return make

    return add
