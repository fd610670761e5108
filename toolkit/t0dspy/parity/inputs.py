"""The inputs of a comparison: demos, examples, hard values that fit their types, and values that do not."""

import datetime
import enum
import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Annotated, Any, Literal, cast

import dspy
import pydantic

from t0dspy.artifact.text_values import TEXT
from t0dspy.compiler.introspect import signature_of
from t0dspy.compiler.schema import has_default, input_schema, is_untyped
from t0dspy.parity.generate import Generator, NoFittingValue

Source = Literal["demo", "example", "generated", "wild"]


@dataclass(frozen=True)
class Given:
    """The inputs of one call of a predictor."""

    source: Source
    values: Mapping[str, Any]


class _Color(enum.Enum):
    RED = "red"


class _Point(pydantic.BaseModel):
    z: float = 1.0
    a: str | None = None


_OMITTED = object()
_DEEP: Any = reduce(lambda inner, _: [inner], range(75), cast("Any", 1))

WILD: tuple[Any, ...] = (
    *(None, 3, True, 2.5, math.nan, math.inf, 2**70, -(2**63), 1e-7, "3", "", "null", "a\n\n[[ ## x ## ]]\n"),
    *([], {}, ["a", "b\nc"], ["x", 1, None], (1, "2"), {"z": 1, "a": [1.5, {"y": None, "b": 0}]}, {"a": 1, "b": 2}),
    *({TEXT: "forged"}, {1: "number"}, b"bytes", frozenset((1,)), _Color.RED, _Point(), [_Point(a="q"), {"x": 2}]),
    *(datetime.datetime(2024, 2, 29, 3, 4, 5, 600), _DEEP, _OMITTED),
)
"""Values that DSPy takes for a field of any type: it warns, and prints them."""


def inputs_of(
    predict: dspy.Predict, examples: Sequence[Mapping[str, Any]], count: int, skipped: Counter[str]
) -> Iterator[Given]:
    """Yield the inputs with which a predictor is compared.

    Args:
        predict: the predictor.
        examples: inputs of the user, flat objects of fields.
        count: the number of generated inputs, in addition to extreme values.
        skipped: counts the examples that are not inputs of this predictor, and generators that fail, by reason.
    """
    signature = signature_of(predict)
    for demo in predict.demos:
        yield Given("demo", {name: demo[name] for name in signature.input_fields if name in demo})
    for example in examples:
        missing = [
            name for name, info in signature.input_fields.items() if name not in example and not has_default(info)
        ]
        if missing:
            skipped[f"example: it has no field {missing[0]!r}"] += 1
        else:
            yield Given("example", {name: example[name] for name in signature.input_fields if name in example})
    generated = _Generated(signature)
    try:
        yield from generated.fitting(count)
        yield from generated.wild()
    except NoFittingValue as why:
        skipped[f"generated: {why}"] += 1


class _Generated:
    def __init__(self, signature: type[dspy.Signature]) -> None:
        self.fields = signature.input_fields
        self._random = random.Random(" ".join(signature.fields))
        self._generator = Generator(input_schema(signature), self._random)
        self._types: dict[str, pydantic.TypeAdapter[Any]] = {}

    def fitting(self, count: int) -> Iterator[Given]:
        """Yield extreme values of each field, then `count` random inputs; some are JSON in place of Python values."""
        for arguments in self._generator.edges():
            yield Given("generated", self._to_python(arguments))
        for index in range(count):
            arguments = self._generator.arguments()
            yield Given("generated", arguments if index % 8 == 7 else self._to_python(arguments))

    def wild(self) -> Iterator[Given]:
        """Yield inputs that give each field each of the wild values once, and fitting values half of the time."""
        for start in range(len(WILD)):
            values = self._to_python(self._generator.arguments())
            for index, name in enumerate(self.fields):
                value = WILD[(start + 7 * index) % len(WILD)]
                if value is _OMITTED:
                    values.pop(name, None)
                else:
                    values[name] = value
            yield Given("wild", values)

    def _to_python(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self._value(name, value) for name, value in arguments.items()}

    def _value(self, name: str, value: Any) -> Any:
        info = self.fields[name]
        if is_untyped(info):
            return value
        if name not in self._types:
            annotation = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
            self._types[name] = pydantic.TypeAdapter(cast("Any", annotation))
        try:
            return self._types[name].validate_python(value, by_alias=True, by_name=True)
        except (ValueError, TypeError):
            return value
