"""The inputs of whole programs for the proof of run equality."""

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import dspy

from t0dspy.artifact.exported import ExportedProgram
from t0dspy.model import Schema
from t0dspy.parity.generate import Generator, NoFittingValue
from t0dspy.parity.inputs import WILD

Inputs = dict[str, Any]

_WILD_INPUTS = 12
"""How many generated inputs of a full proof have a value that does not fit its type."""


def given_inputs(
    program: dspy.Module, exported: ExportedProgram, version: str, examples: Sequence[Mapping[str, Any]], limit: int
) -> list[Inputs]:
    """Return inputs that the user or the optimizer gave: examples, then demos that have all inputs of the program.

    Args:
        program: the live program with the state of the version.
        exported: the exported program.
        version: the version.
        examples: flat objects of fields.
        limit: the maximum number of inputs.
    """
    schema = _schema(program, exported, version)
    if schema is None:
        return []
    demos = [demo for predict in program.predictors() for demo in predict.demos]
    complete = (
        {name: given[name] for name in schema["properties"] if name in given}
        for given in [*examples, *demos]
        if all(name in given for name in schema["required"])
    )
    return list(islice((inputs for inputs in complete if inputs), limit))


def generated_inputs(program: dspy.Module, exported: ExportedProgram, version: str, count: int) -> Iterator[Inputs]:
    """Yield `count` generated inputs, then inputs with a value that does not fit its type."""
    schema = _schema(program, exported, version)
    if schema is None or not schema["properties"]:
        return
    draw = random.Random(exported.name)
    generator = Generator(schema, draw)
    try:
        inputs = [generator.arguments() for _ in range(count + _WILD_INPUTS)]
    except NoFittingValue:
        return
    yield from inputs[:count]
    names = list(schema["properties"])
    for number, fitting in enumerate(inputs[count:]):
        value = draw.choice(WILD[:-1])  # the last one stands for an omitted field
        yield {**fitting, names[number % len(names)]: value}


def _schema(program: dspy.Module, exported: ExportedProgram, version: str) -> Schema | None:
    """Return the schema of the program's inputs; None if only its stages are exported."""
    if exported.name in exported.manifest.functions:
        return exported.schemas(exported.name)[0]
    return None
