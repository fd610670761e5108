"""Comparisons a second, after start-up: what 1,000 inputs take beyond what 100 take."""

import tempfile
from pathlib import Path

import dspy

import t0dspy
from benchmarks import Row, median_seconds, wall

LESS, MORE, TARGET = 100, 1000, 150


def measure() -> list[Row]:
    program = dspy.ChainOfThought("question, context: list[str], limit: int -> answer, sure: bool")
    with tempfile.TemporaryDirectory() as place:
        configs = Path(place) / "configs"
        t0dspy.export(program, configs, name="ask", model="openai::gpt-4o-mini", verify=False)

        def seconds(inputs: int) -> float:
            return median_seconds(
                lambda: t0dspy.verify("ask", configs=configs, program=program, inputs=inputs), 3, wall
            )

        rate = (MORE - LESS) / (seconds(MORE) - seconds(LESS))
    return [Row("comparisons a second of `t0dspy verify`", f"{rate:,.0f}", f"at least {TARGET}", rate >= TARGET)]
