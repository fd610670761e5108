"""One function that somebody wants: what it is called, what it should do, and a solution that does it."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Value = Any
"""What Python and JSON have in common: a bool, an int, a str, a list of these, or None."""


@dataclass(frozen=True)
class Kind:
    """A kind of argument: a name for a parameter, words for prose, and how to draw a value."""

    names: Sequence[str]
    words: str
    draw: Callable[[random.Random], Value]
    empty: Value = None
    """The value that "empty" means; None where nothing is empty."""


WORDS = [
    "amber",
    "apple",
    "arrow",
    "basin",
    "berry",
    "cedar",
    "cliff",
    "cloud",
    "comet",
    "copper",
    "creek",
    "ember",
    "fern",
    "field",
    "flint",
    "forest",
    "garden",
    "harbor",
    "hazel",
    "honey",
    "island",
    "ivy",
    "lake",
    "lantern",
    "level",
    "maple",
    "meadow",
    "mint",
    "moss",
    "noon",
    "oak",
    "ocean",
    "olive",
    "orbit",
    "otter",
    "pear",
    "pine",
    "plum",
    "radar",
    "raven",
    "refer",
    "river",
    "rose",
    "sage",
    "shell",
    "silver",
    "stone",
    "storm",
    "sun",
    "tide",
    "topaz",
    "violet",
    "willow",
    "wren",
]


def _numbers(rng: random.Random) -> list[int]:
    return [rng.randint(-12, 30) for _ in range(rng.choice([1, 3, 4, 5, 6, 7, 8]))]


def _words(rng: random.Random) -> list[str]:
    return [_cased(rng, rng.choice(WORDS)) for _ in range(rng.choice([1, 3, 4, 5, 6]))]


def _text(rng: random.Random) -> str:
    return " ".join(_words(rng)) + rng.choice(["", "", " ", "!", " 7", " 42"])


def _cased(rng: random.Random, word: str) -> str:
    return rng.choice([word, word, word.capitalize(), word.upper()])


NUMBERS = Kind(("numbers", "values", "readings", "amounts", "scores"), "list of whole numbers", _numbers, [])
STRINGS = Kind(("words", "names", "labels", "tags"), "list of strings", _words, [])
TEXT = Kind(("text", "line", "phrase", "message"), "string", _text, "")
NUMBER = Kind(("number", "n", "amount"), "whole number that is not negative", lambda rng: rng.randint(1, 4000))
SMALL = Kind(("n", "count", "size"), "whole number from 1 on", lambda rng: rng.randint(1, 14))
LIMIT = Kind(("k", "limit", "step"), "whole number from 1 on", lambda rng: rng.randint(1, 6))
SHIFT = Kind(("shift",), "whole number that is not negative", lambda rng: rng.randint(0, 9))


@dataclass(frozen=True)
class Task:
    """A function to write. `key` says what it computes, so that two sets never ask for the same thing."""

    key: str
    parameters: Sequence[tuple[str, Kind]]
    sentences: Sequence[str]
    body: str
    """The lines of the solution, over the parameters."""
    edge: str = ""
    """A sentence about the empty case."""
    hints: Sequence[str] = field(default_factory=tuple)
    """What the function may be called."""

    def solution(self, name: str) -> str:
        """The reference solution as Python."""
        lines = "\n".join(f"    {line}" for line in self.body.split("\n"))
        return f"def {name}({', '.join(one for one, _ in self.parameters)}):\n{lines}\n"

    def cases(self, rng: random.Random, count: int) -> list[tuple[str, str]]:
        """`count` different argument lists and results, as Python literals; the empty case first where it is told."""
        function = _defined(self.solution("f"))
        found: dict[str, str] = {}
        kind = self.parameters[0][1]
        if self.edge and kind.empty is not None:
            arguments = [kind.empty, *(one.draw(rng) for _, one in self.parameters[1:])]
            found[_literals(arguments)] = repr(function(*arguments))
        for _ in range(40 * count):
            if len(found) >= count:
                break
            arguments = [one.draw(rng) for _, one in self.parameters]
            found.setdefault(_literals(arguments), repr(function(*json.loads(json.dumps(arguments)))))
        return list(found.items())


def _literals(arguments: Sequence[Value]) -> str:
    return ", ".join(map(repr, arguments))


def _defined(code: str) -> Callable[..., Value]:
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102  (our own solutions, never a model's code)
    function: Callable[..., Value] = names["f"]
    return function
