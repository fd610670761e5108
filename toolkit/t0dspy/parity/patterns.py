"""Generate strings that match a regular expression, for fields that declare a pattern."""

import re
import string
from collections.abc import Callable
from random import Random
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

LETTERS = string.ascii_letters + string.digits + " -_.,:/{}'\"éß日"
"""The characters that replace a wildcard in a pattern."""

MORE = 4
"""The maximum number of repetitions beyond the minimum of a pattern."""

_CATEGORIES = {
    codes.CATEGORY_DIGIT: string.digits,
    codes.CATEGORY_WORD: string.ascii_letters + string.digits + "_",
    codes.CATEGORY_SPACE: " \t\n",
    codes.CATEGORY_NOT_DIGIT: string.ascii_letters + " -{",
    codes.CATEGORY_NOT_WORD: " -.{",
    codes.CATEGORY_NOT_SPACE: string.ascii_letters + string.digits + "{",
}


def fitting_text(pattern: str, random: Random) -> str | None:
    """Return a random string that matches `pattern`, or None if this try failed or the pattern cannot be parsed.

    Lookarounds and back references are ignored, so a try may fail although another one succeeds.
    """
    try:
        text = "".join(_piece(code, value, random) for code, value in parser.parse(pattern))
        return text if re.search(pattern, text) else None
    except (re.error, KeyError):
        return None


def _piece(code: Any, value: Any, random: Random) -> str:
    make: Callable[[Any, Random], str] | None = _PIECES.get(code)
    return make(value, random) if make else ""


def _sequence(parts: Any, random: Random) -> str:
    return "".join(_piece(code, value, random) for code, value in parts)


def _repeat(value: Any, random: Random) -> str:
    least, most, part = value
    count = random.randint(least, min(most, least + MORE))
    return "".join(_sequence(part, random) for _ in range(count))


def _choice(choices: Any, random: Random) -> str:
    if choices[0][0] is codes.NEGATE:
        barred = set().union(*(_characters(code, value) for code, value in choices[1:]))
        return random.choice([char for char in LETTERS + string.punctuation if char not in barred])
    return random.choice(sorted(_characters(*random.choice(choices))))


def _characters(code: Any, value: Any) -> set[str]:
    if code is codes.RANGE:
        least, most = value
        return {chr(number) for number in range(least, min(most, least + 1000) + 1)}
    return set(_CATEGORIES[value]) if code is codes.CATEGORY else {chr(value)}


_PIECES: dict[Any, Callable[[Any, Random], str]] = {
    codes.LITERAL: lambda value, random: chr(value),
    codes.NOT_LITERAL: lambda value, random: "x" if chr(value) != "x" else "y",
    codes.ANY: lambda value, random: random.choice(LETTERS),
    codes.IN: _choice,
    codes.BRANCH: lambda value, random: _sequence(random.choice(value[1]), random),
    codes.SUBPATTERN: lambda value, random: _sequence(value[3], random),
    codes.ATOMIC_GROUP: _sequence,
    codes.MAX_REPEAT: _repeat,
    codes.MIN_REPEAT: _repeat,
    codes.POSSESSIVE_REPEAT: _repeat,
}
