"""Tasks that are made of steps: keep some, change each, boil them down."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from examples.spec_to_review.specs.task import LIMIT, NUMBER, NUMBERS, STRINGS, TEXT, Kind, Task


@dataclass(frozen=True)
class Step:
    """A line of Python over `it`, and ways to ask for it. `{c}` is a number drawn for the task."""

    code: str
    phrases: Sequence[str]
    constants: Sequence[int] = ()
    edges: Sequence[str] = ()
    """What it gives for nothing at all, as Python, where that has to be said."""


KEEP = [
    Step(
        "[x for x in it if x % {c} == 0]", ("keep the ones divisible by {c}", "pick every multiple of {c}"), (3, 4, 5)
    ),
    Step("[x for x in it if x % {c} != 0]", ("drop all multiples of {c}", "leave out whatever {c} divides"), (3, 4, 5)),
    Step("[x for x in it if x % 2 == 0]", ("keep the even ones", "ignore everything odd")),
    Step("[x for x in it if x % 2 == 1]", ("keep the odd ones", "throw the even ones away")),
    Step("[x for x in it if x > {c}]", ("keep those above {c}", "take what is greater than {c}"), (0, 4, 5, 7, 10)),
    Step("[x for x in it if x < {c}]", ("keep those below {c}", "take what is smaller than {c}"), (6, 9, 12, 15)),
    Step("[x for x in it if x < 0]", ("keep the negative ones", "look only at what lies under zero")),
    Step("list(dict.fromkeys(it))", ("remove duplicates, keeping the first of each", "count nothing twice")),
    Step("it[:{c}]", ("take the first {c} only", "cut the list off after {c} entries"), (2, 3, 4)),
    Step("it[{c}:]", ("skip the first {c}", "pass over the first {c} entries"), (1, 2)),
    Step("it[::2]", ("take every second one, beginning with the first", "use only those at even positions, from 0")),
]
CHANGE = [
    Step("[x * x for x in it]", ("square each", "multiply each by itself")),
    Step("[x + {c} for x in it]", ("add {c} to each", "raise each by {c}"), (1, 2, 3, 10)),
    Step("[x * {c} for x in it]", ("multiply each by {c}", "scale each by {c}"), (2, 3, 5)),
    Step("[abs(x) for x in it]", ("take absolute values", "forget the signs")),
    Step("[-x for x in it]", ("flip every sign", "negate each")),
    Step(
        "[x % {c} for x in it]", ("take the remainder of each after division by {c}", "reduce each modulo {c}"), (3, 7)
    ),
    Step("[x // 2 for x in it]", ("halve each, rounding down", "divide each by 2 and round down")),
    Step("[b - a for a, b in zip(it, it[1:])]", ("form the differences of neighbours", "go from values to changes")),
    Step("[sum(it[: i + 1]) for i in range(len(it))]", ("form running totals", "replace each by the sum so far")),
]
BOIL = [
    Step("sum(it)", ("add them up", "return the total")),
    Step("max(it)", ("return the largest", "answer with the biggest that is left"), (), ("0", "None", "-1")),
    Step("min(it)", ("return the smallest", "answer with the lowest that is left"), (), ("0", "None", "-1")),
    Step("len(it)", ("say how many there are", "count them")),
    Step("max(it) - min(it)", ("return the spread between largest and smallest", "give the range"), (), ("0", "None")),
    Step("it[-1]", ("return the last one", "answer with the one that comes last"), (), ("0", "None", "-1")),
    Step("sum(it) // len(it)", ("return the average, rounded down", "give the mean without its fraction"), (), ("0",)),
    Step("sorted(it)", ("return them in ascending order", "sort them")),
    Step("sorted(it, reverse=True)", ("return them from largest to smallest", "sort them in descending order")),
    Step("it[::-1]", ("return them in reverse order", "hand them back last first")),
]
KEEP_WORDS = [
    Step(
        "[x for x in it if len(x) > {c}]",
        ("keep those longer than {c} letters", "skip short ones, up to {c}"),
        (3, 4, 5),
    ),
    Step(
        "[x for x in it if len(x) < {c}]",
        ("keep those shorter than {c} letters", "skip any of {c} letters or more"),
        (5, 6),
    ),
    Step(
        "[x for x in it if x[:1].lower() in 'aeiou']", ("keep those that start with a vowel", "want a vowel in front")
    ),
    Step("[x for x in it if x == x.lower()]", ("keep those in lower case", "drop whatever has a capital")),
    Step("list(dict.fromkeys(it))", ("remove duplicates, keeping the first of each", "count nothing twice")),
    Step("it[:{c}]", ("take the first {c} only", "cut the list off after {c} entries"), (2, 3)),
]
CHANGE_WORDS = [
    Step("[x.upper() for x in it]", ("write each in upper case", "make each shout")),
    Step("[x.lower() for x in it]", ("write each in lower case", "forget all capitals")),
    Step("[x[::-1] for x in it]", ("reverse the letters of each", "spell each backwards")),
    Step("[x.capitalize() for x in it]", ("capitalize each", "give each one capital, in front")),
    Step("[x[:1] for x in it]", ("take the first letter of each", "use initials")),
    Step("[x[:{c}] for x in it]", ("shorten each to {c} letters", "keep {c} letters of each"), (2, 3)),
]
BOIL_WORDS = [
    Step("' '.join(it)", ("join them with blanks", "make one line of them, a blank between")),
    Step("'-'.join(it)", ("join them with hyphens", "put a hyphen between them")),
    Step("''.join(it)", ("join them without anything between", "glue them together")),
    Step("sorted(it)", ("return them sorted", "put them in order")),
    Step("sorted(it, key=len)", ("return them sorted by length", "put short ones before long ones")),
    Step("len(it)", ("say how many there are", "count them")),
    Step("[len(x) for x in it]", ("return the length of each", "tell how long each is")),
    Step(
        "max(it, key=len)",
        ("return the longest, the first of equals", "answer with the one of most letters"),
        (),
        ("''", "None"),
    ),
    Step("sum(len(x) for x in it)", ("return the number of letters in all", "add up their lengths")),
]
OPEN_TEXT = [
    Step("it.split()", ("split it into words at the blanks", "look at its words")),
    Step("it.lower().split()", ("put it in lower case and split it into words", "look at its words without capitals")),
]
OPEN_NUMBER = [
    Step("[int(x) for x in str(it)]", ("look at its decimal digits", "break it into digits")),
    Step("[x for x in range(1, it + 1) if it % x == 0]", ("find its divisors", "list what divides it evenly")),
]
WITH_LIMIT = [
    Step("[x for x in it if x > {k}]", ("keep those above `{k}`", "take what is greater than `{k}`")),
    Step("[x for x in it if x % {k} == 0]", ("keep the ones divisible by `{k}`", "pick every multiple of `{k}`")),
    Step("[x * {k} for x in it]", ("multiply each by `{k}`", "scale each by `{k}`")),
    Step("[x + {k} for x in it]", ("add `{k}` to each", "raise each by `{k}`")),
    Step("it[:{k}]", ("take the first `{k}` only", "cut the list off after `{k}` entries")),
]
SHAPES: list[tuple[Kind, Sequence[Sequence[Step]]]] = [
    (NUMBERS, (KEEP, BOIL)),
    (NUMBERS, (CHANGE, BOIL)),
    (NUMBERS, (KEEP, CHANGE, BOIL)),
    (NUMBERS, (KEEP, CHANGE, BOIL)),
    (NUMBERS, (WITH_LIMIT, BOIL)),
    (NUMBERS, (WITH_LIMIT, CHANGE, BOIL)),
    (STRINGS, (KEEP_WORDS, BOIL_WORDS)),
    (STRINGS, (KEEP_WORDS, CHANGE_WORDS, BOIL_WORDS)),
    (TEXT, (OPEN_TEXT, KEEP_WORDS, BOIL_WORDS)),
    (TEXT, (OPEN_TEXT, CHANGE_WORDS, BOIL_WORDS)),
    (NUMBER, (OPEN_NUMBER, KEEP, BOIL)),
    (NUMBER, (OPEN_NUMBER, BOIL)),
]


def draw(rng: random.Random) -> Task:
    """A task of two to four steps."""
    kind, shape = rng.choice(SHAPES)
    parameter = rng.choice(kind.names)
    second = rng.choice(LIMIT.names)
    steps = [rng.choice(list(choices)) for choices in shape]
    values = [rng.choice(list(step.constants)) if step.constants else 0 for step in steps]
    edge = rng.choice(list(steps[-1].edges)) if steps[-1].edges else ""
    codes = [step.code.format(c=value, k=second) for step, value in zip(steps, values, strict=True)]
    phrases = [
        rng.choice(list(step.phrases)).format(c=value, k=second) for step, value in zip(steps, values, strict=True)
    ]
    limited = WITH_LIMIT in shape
    return Task(
        key=f"{kind.words}: " + " | ".join(codes).replace(second, "k" if limited else second),
        parameters=[(parameter, kind), (second, LIMIT)] if limited else [(parameter, kind)],
        sentences=_told(rng, phrases),
        body=_body(parameter, codes, edge),
        edge=_edge_told(rng, edge),
        hints=("report", "digest", "measure", "summary", "figure", "outline", "extract", "survey"),
    )


def _body(parameter: str, codes: Sequence[str], edge: str) -> str:
    lines = [f"it = {parameter}", *(f"it = {code}" for code in codes[:-1])]
    if edge:
        lines += ["if not it:", f"    return {edge}"]
    return "\n".join([*lines, f"return {codes[-1]}"])


def _told(rng: random.Random, phrases: Sequence[str]) -> list[str]:
    first, last = phrases[0], phrases[-1]
    middle = "".join(f", then {one}" for one in phrases[1:-1])
    return rng.choice(
        [
            [f"{one[0].upper()}{one[1:]}." for one in phrases],
            [f"It should {first}{middle}, and finally {last}."],
            [f"First {first}{middle}.", f"After that, {last}."],
            [f"The work is simple: {first}{middle}; in the end, {last}."],
            [f"Step {at}: {one}." for at, one in enumerate(phrases, 1)],
        ]
    )


def _edge_told(rng: random.Random, edge: str) -> str:
    if not edge:
        return ""
    return rng.choice(
        [
            f"If nothing is left, the result is `{edge}`.",
            f"When there is nothing to look at, return `{edge}`.",
            f"An empty input, or one of which nothing remains, gives `{edge}`.",
        ]
    )
