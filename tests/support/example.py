"""The example's parts, small."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from examples.spec_to_review.program import SpecToReview

DATA = Path(__file__).parents[2] / "examples/spec_to_review/data"
ADVICE = {
    "parse_spec": "Take every one of the examples into account. Mind the empty case.",
    "plan": "Give each function a section of its own.",
    "write_code": "Take every one of the examples into account. Mind the empty case. Combine several operations.",
    "write_tests": "Write down all the examples.",
    "review_all": "Run the code on all examples, and check that results agree.",
}


def rows(name: str) -> list[dict[str, Any]]:
    """A data file."""
    return [json.loads(line) for line in (DATA / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def advised(*predictors: str) -> SpecToReview:
    """The program, with good advice for some of its predictors (by default all)."""
    program = SpecToReview()
    for name in predictors or ADVICE:
        predict = getattr(program, name)
        predict.signature = predict.signature.with_instructions(f"{predict.signature.instructions} {ADVICE[name]}")
    return program


Run = Callable[..., Any]
