"""Enums and Literals: texts, numbers, mixed, and values that look like a template's own signs."""

from enum import Enum, IntEnum, StrEnum
from typing import Literal

import dspy


class Colour(Enum):
    RED = "red"
    DARK_BLUE = "dark blue"


class Urgency(IntEnum):
    LOW = 1
    HIGH = 3


class Placeholder(StrEnum):
    NAME = "{{ name }}"
    BLOCK = "{% block %}"
    NOTE = "{# note #}"
    OPEN = "{"
    QUOTED = '"it\'s"'


class Ratio(Enum):
    HALF = 0.5
    TINY = 0.0000001


class Tag(dspy.Signature):
    """Tag a line of a printed form."""

    line: str = dspy.InputField()
    ink: Colour = dspy.InputField()
    inks: list[Colour] = dspy.InputField()
    urgency: Urgency = dspy.InputField()
    known: Placeholder | None = dspy.InputField()
    scale: Ratio = dspy.InputField()
    kind: Literal["field", "label", 3, True, None] = dspy.InputField()
    counts: dict[Colour, int] = dspy.InputField()

    placeholder: Placeholder = dspy.OutputField()
    colour: Colour = dspy.OutputField()
    level: Urgency = dspy.OutputField()
    width: Literal[1, 2, 4] = dspy.OutputField()
    side: Literal["left", "it's right", 'a "quoted" one'] = dspy.OutputField()
    mixed: Literal["auto", 0, False] = dspy.OutputField()
    all_colours: list[Colour] = dspy.OutputField()


program = dspy.Predict(Tag)
