"""Tasks with a twist that no chain of simple steps has, each written by hand."""

import inspect
import random
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from examples.spec_to_review.specs.task import NUMBER, NUMBERS, SHIFT, SMALL, STRINGS, TEXT, Kind, Task

DNA = Kind(
    ("strand",),
    "string of the letters A, C, G and T",
    lambda rng: "".join(rng.choices("ACGT", k=rng.randint(1, 9))),
    "",
)
BRACKETS = Kind(
    ("text",),
    "string of brackets",
    lambda rng: rng.choice(["", "()", "[]", "(("]) + "".join(rng.choices("()", k=rng.choice([0, 2, 4]))),
    "",
)
BINARY = Kind(("bits",), "string of zeros and ones", lambda rng: "".join(rng.choices("01", k=rng.randint(1, 8))), "")
WORD = Kind(
    ("text", "word"),
    "string",
    lambda rng: rng.choice(["level", "radar", "noon", "refer", "stone", "Ada", "a", "tide", "abba", "olive"]),
    "",
)


@dataclass(frozen=True)
class Puzzle:
    """A task whose solution is a function over `a` (and `b`)."""

    solve: Callable[..., Any]
    kinds: tuple[Kind, ...]
    ways: tuple[str, str]
    """To ask for it; `{b}` is the name of the second parameter."""
    empty: str
    """What it gives for nothing at all, as Python, where that has to be said."""

    @property
    def body(self) -> str:
        """The lines of the solution."""
        lines = textwrap.dedent(inspect.getsource(self.solve)).split("\n")
        start = next(at for at, line in enumerate(lines) if line.startswith("def "))
        return textwrap.dedent("\n".join(lines[start + 1 :])).strip("\n")


PUZZLES: list[Puzzle] = []


def puzzle(*kinds: Kind, one: str, other: str, empty: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Adds a function to the puzzles, with two ways to ask for it."""

    def add(solve: Callable[..., Any]) -> Callable[..., Any]:
        PUZZLES.append(Puzzle(solve, kinds, (one, other), empty))
        return solve

    return add


def draw(rng: random.Random) -> Task:
    """One of the puzzles."""
    chosen = rng.choice(PUZZLES)
    name = rng.choice(chosen.kinds[0].names)
    other = rng.choice(chosen.kinds[1].names) if len(chosen.kinds) > 1 else ""
    names = [name, *([other] if other else [])]
    lines = [f"a = {name}", *([f"b = {other}"] if other else []), chosen.body]
    told = ["For an empty input it gives `{}`.", "If it is empty, return `{}`."]
    edge = rng.choice(told).format(chosen.empty) if chosen.empty else ""
    hint = chosen.solve.__name__
    parameters = list(zip(names, chosen.kinds, strict=True))
    return Task(hint, parameters, [rng.choice(chosen.ways).format(b=other)], "\n".join(lines), edge, (hint,))


@puzzle(
    TEXT,
    one="Shorten runs: each character followed by how often it stands in a row.",
    other="Encode the string by the lengths of its runs, character first.",
)
def run_lengths(a: str) -> Any:
    out = ""
    for i, c in enumerate(a):
        if i == 0 or a[i - 1] != c:
            n = 1
            while i + n < len(a) and a[i + n] == c:
                n += 1
            out += c + str(n)
    return out


@puzzle(
    SMALL,
    one="Write the number as a Roman numeral.",
    other="Turn it into Roman digits, as on a clock face.",
)
def roman(a: int) -> Any:
    out = ""
    for value, digit in ((10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I")):
        while a >= value:
            out, a = out + digit, a - value
    return out


@puzzle(
    WORD,
    one="Tell whether it reads the same backwards.",
    other="Return `True` for palindromes and `False` for anything else.",
)
def is_mirror(a: str) -> Any:
    return a == a[::-1]


@puzzle(
    WORD,
    one="Tell whether it reads the same backwards, upper or lower case.",
    other="Return whether it is a palindrome once all is in lower case.",
)
def is_mirror_any_case(a: str) -> Any:
    return a.lower() == a.lower()[::-1]


@puzzle(
    TEXT,
    one="Count the vowels, capitals too.",
    other="Say how many of its letters are a, e, i, o or u in either case.",
)
def vowels(a: str) -> Any:
    return sum(1 for c in a.lower() if c in "aeiou")


@puzzle(
    TEXT,
    one="Take all vowels out, capitals too.",
    other="Remove every a, e, i, o and u in either case.",
)
def without_vowels(a: str) -> Any:
    return "".join(c for c in a if c.lower() not in "aeiou")


@puzzle(
    TEXT,
    one="Keep the digits and nothing else.",
    other="Strip everything that is no digit.",
)
def digits_only(a: str) -> Any:
    return "".join(c for c in a if c.isdigit())


@puzzle(
    TEXT,
    one="Build the acronym: the initials of its words in upper case.",
    other="Take the first letter of each word, in capitals, without blanks.",
)
def acronym(a: str) -> Any:
    return "".join(w[0].upper() for w in a.split())


@puzzle(
    TEXT,
    one="Swap upper and lower case.",
    other="Turn capitals into small letters and small letters into capitals.",
)
def swap_case(a: str) -> Any:
    return a.swapcase()


@puzzle(
    TEXT,
    one="Write it with single blanks only and none at the ends.",
    other="Tidy the blanks: one between words, none around.",
)
def squeeze(a: str) -> Any:
    return " ".join(a.split())


@puzzle(
    TEXT,
    one="Put its words in reverse order.",
    other="Say the words last to first, a blank between them.",
)
def backwards_words(a: str) -> Any:
    return " ".join(a.split()[::-1])


@puzzle(
    TEXT,
    one="Count the different characters.",
    other="Say how many distinct characters occur, the blank included.",
)
def distinct_letters(a: str) -> Any:
    return len(set(a))


@puzzle(
    TEXT,
    one="Return the commonest character, the first of equals.",
    other="Answer with the character that occurs most often, the earliest where several do.",
    empty="''",
)
def commonest(a: str) -> Any:
    if not a:
        return ""
    return max(a, key=a.count)


@puzzle(
    WORD,
    SHIFT,
    one="Move each small letter on by `{b}` places in the alphabet, around the end; leave others.",
    other="Encrypt it as Caesar did, by `{b}` letters; only small letters move.",
)
def caesar(a: str, b: int) -> Any:
    return "".join(chr((ord(c) - 97 + b) % 26 + 97) if c.islower() else c for c in a)


@puzzle(
    NUMBER,
    one="Add up its decimal digits.",
    other="Return the total of its digits.",
)
def digit_sum(a: int) -> Any:
    return sum(int(c) for c in str(a))


@puzzle(
    NUMBER,
    one="Add up its digits, and those of the result, until one digit is left.",
    other="Return its digital root.",
)
def digital_root(a: int) -> Any:
    while a > 9:
        a = sum(int(c) for c in str(a))
    return a


@puzzle(
    SMALL,
    one="Tell whether it is a prime.",
    other="Return `True` if it has exactly two divisors.",
)
def is_prime(a: int) -> Any:
    return a > 1 and all(a % d for d in range(2, a))


@puzzle(
    SMALL,
    one="Return its factorial.",
    other="Multiply all whole numbers from 1 up to it.",
)
def factorial(a: int) -> Any:
    out = 1
    for i in range(2, a + 1):
        out *= i
    return out


@puzzle(
    SMALL,
    one="Return the Fibonacci number at that place, the first two being 1.",
    other="Start with 1 and 1, let each be the sum of the two before, and return that many-th.",
)
def fibonacci(a: int) -> Any:
    x, y = 1, 1
    for _ in range(a - 1):
        x, y = y, x + y
    return x


@puzzle(
    SMALL,
    one="List the squares of 1 up to it.",
    other="Return each whole number from 1 up to it, squared.",
)
def squares_up_to(a: int) -> Any:
    return [x * x for x in range(1, a + 1)]


@puzzle(
    SMALL,
    one="Add all whole numbers from 1 up to it.",
    other="Return the triangular number.",
)
def triangular(a: int) -> Any:
    return a * (a + 1) // 2


@puzzle(
    SMALL,
    one="Count the steps to 1: halve what is even, else triple it and add 1.",
    other="Say how long its Collatz chain is, in steps until 1.",
)
def collatz(a: int) -> Any:
    n = 0
    while a != 1:
        a, n = (a // 2 if a % 2 == 0 else 3 * a + 1), n + 1
    return n


@puzzle(
    SMALL,
    one="Count to it from 1 and say `Fizz` for multiples of 3, numbers as text otherwise.",
    other="List the numbers from 1 as strings, `Fizz` in place of what 3 divides.",
)
def fizz(a: int) -> Any:
    return ["Fizz" if x % 3 == 0 else str(x) for x in range(1, a + 1)]


@puzzle(
    NUMBER,
    one="Write it in base two.",
    other="Return its binary digits as a string.",
)
def to_binary(a: int) -> Any:
    return bin(a)[2:]


@puzzle(
    BINARY,
    one="Read it as a number in base two.",
    other="Return the number that these binary digits mean.",
)
def from_binary(a: str) -> Any:
    return int(a, 2)


@puzzle(
    NUMBERS,
    one="Tell whether no number is smaller than the one before.",
    other="Return whether the list is in ascending order already.",
)
def is_sorted(a: list[int]) -> Any:
    return a == sorted(a)


@puzzle(
    NUMBERS,
    one="Return the second largest of the different numbers; with fewer than two, `None`.",
    other="Answer with the runner-up: the largest but one, equal ones counted once; `None` if there is none.",
    empty="None",
)
def second_largest(a: list[int]) -> Any:
    d = sorted(set(a))
    return d[-2] if len(d) > 1 else None


@puzzle(
    NUMBERS,
    one="Multiply them all.",
    other="Return their product; that of nothing is 1.",
    empty="1",
)
def product(a: list[int]) -> Any:
    out = 1
    for x in a:
        out *= x
    return out


@puzzle(
    NUMBERS,
    one="Replace each by the largest so far.",
    other="Return the running maximum.",
)
def records(a: list[int]) -> Any:
    return [max(a[: i + 1]) for i in range(len(a))]


@puzzle(
    NUMBERS,
    SHIFT,
    one="Move the first `{b}` entries to the end; more than there are go round again.",
    other="Rotate the list to the left by `{b}`.",
    empty="[]",
)
def rotate(a: list[int], b: int) -> Any:
    if not a:
        return []
    b %= len(a)
    return a[b:] + a[:b]


@puzzle(
    NUMBERS,
    one="Return the length of the longest stretch in which each is larger than the one before.",
    other="Say how many entries its longest climb has.",
    empty="0",
)
def longest_rise(a: list[int]) -> Any:
    if not a:
        return 0
    best = n = 1
    for i in range(1, len(a)):
        n = n + 1 if a[i] > a[i - 1] else 1
        best = max(best, n)
    return best


@puzzle(
    BRACKETS,
    one="Tell whether every round bracket is closed in order; square ones do not count.",
    other="Return whether the round brackets match.",
)
def balanced(a: str) -> Any:
    n = 0
    for c in a:
        n += (c == "(") - (c == ")")
        if n < 0:
            return False
    return n == 0


@puzzle(
    DNA,
    one="Swap A with T and C with G.",
    other="Return the complementary strand.",
)
def complement(a: str) -> Any:
    return "".join({"A": "T", "T": "A", "C": "G", "G": "C"}[c] for c in a)


@puzzle(
    NUMBERS,
    one="Return the middle of the sorted numbers, the lower of two.",
    other="Answer with the lower median.",
    empty="None",
)
def median_low(a: list[int]) -> Any:
    if not a:
        return None
    return sorted(a)[(len(a) - 1) // 2]


@puzzle(
    STRINGS,
    one="Write each as itself, a colon and its length.",
    other="Return `word:length` for each.",
)
def lengths_by_word(a: list[str]) -> Any:
    return [f"{w}:{len(w)}" for w in a]


@puzzle(
    STRINGS,
    one="Return what all of them start with.",
    other="Find the longest common prefix.",
    empty="''",
)
def longest_common_start(a: list[str]) -> Any:
    if not a:
        return ""
    n = 0
    while n < min(map(len, a)) and len({w[n] for w in a}) == 1:
        n += 1
    return a[0][:n]


@puzzle(
    TEXT,
    one="Write its words in camel case: all small, but capitals at the second word and on.",
    other="Join the words as camelCase does.",
)
def camel(a: str) -> Any:
    w = a.lower().split()
    return "".join(w[:1] + [x.capitalize() for x in w[1:]])


@puzzle(
    TEXT,
    one="Write it in snake case: lower case, underscores for blanks.",
    other="Join the words, in lower case, with underscores.",
)
def snake(a: str) -> Any:
    return "_".join(a.lower().split())


@puzzle(
    WORD,
    one="Put every second letter in upper case, beginning with the first; the others in lower case.",
    other="Write it with capitals at even positions, from 0, and small letters between.",
)
def every_other_up(a: str) -> Any:
    return "".join(c.upper() if i % 2 == 0 else c.lower() for i, c in enumerate(a))
