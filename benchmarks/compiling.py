"""Exporting many predictors: the cost of each must not grow with their number."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import dspy

import t0dspy
from benchmarks import Row, median_seconds, ratio

FEW, MANY, DEMOS = 20, 200, 8


class Many(dspy.Module):
    """`count` different predictors with demos, one after another."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.steps = [_step(number) for number in range(count)]


def _step(number: int) -> dspy.Predict:
    signature = dspy.Signature(
        f"question, context: list[str], limit_{number}: int -> answer, sure: bool",
        f"Answer question {number} from the context.",
    )
    step = dspy.ChainOfThought(signature).predict
    text = f"Words about {number}. " * 20
    step.demos = [
        dspy.Example(
            question=f"{text}?",
            context=[text, text],
            **{f"limit_{number}": demo},
            reasoning=text,
            answer=text,
            sure=True,
        )
        for demo in range(DEMOS)
    ]
    return step


def measure() -> list[Row]:
    few, many = (median_seconds(_exporting(count), 3) for count in (FEW, MANY))
    dspy_import = median_seconds(lambda: subprocess.run([sys.executable, "-c", "import dspy"], check=True), 3)
    return [
        ratio(f"export of a predictor among {MANY} against one among {FEW}", many / MANY, few / FEW, 2),
        ratio(
            f"export of {MANY} predictors with {DEMOS} demos, without verify, against `import dspy`",
            many,
            dspy_import,
            4,
        ),
    ]


def _exporting(count: int) -> Callable[[], object]:
    program = Many(count)

    def export() -> object:
        with tempfile.TemporaryDirectory() as place:
            options = {"name": "many", "model": "openai::gpt-4o-mini", "signature": "question -> answer"}
            return t0dspy.export(program, Path(place) / "configs", verify=False, **options)

    return export
