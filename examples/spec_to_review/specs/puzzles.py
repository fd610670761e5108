"""Tasks with a twist that no chain of simple steps has, each written by hand."""

import random

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
MIRRORED = Kind(
    ("text", "word"),
    "string",
    lambda rng: rng.choice(["level", "radar", "noon", "refer", "stone", "Ada", "a", "tide", "abba", "olive"]),
    "",
)
PUZZLES: list[tuple[str, Kind, Kind | None, tuple[str, str], str, str]] = [
    # name, argument, second argument, two ways to ask, the body over a (and b), what the empty case is told to give
    ("run_lengths", TEXT, None, ("Shorten runs: each character followed by how often it stands in a row.", "Encode the string by the lengths of its runs, character first."), "out = ''\nfor i, c in enumerate(a):\n    if i == 0 or a[i - 1] != c:\n        n = 1\n        while i + n < len(a) and a[i + n] == c:\n            n += 1\n        out += c + str(n)\nreturn out", ""),
    ("roman", SMALL, None, ("Write the number as a Roman numeral.", "Turn it into Roman digits, as on a clock face."), "out = ''\nfor value, digit in ((10, 'X'), (9, 'IX'), (5, 'V'), (4, 'IV'), (1, 'I')):\n    while a >= value:\n        out, a = out + digit, a - value\nreturn out", ""),
    ("is_mirror", MIRRORED, None, ("Tell whether it reads the same backwards.", "Return `True` for palindromes and `False` for anything else."), "return a == a[::-1]", ""),
    ("is_mirror_any_case", MIRRORED, None, ("Tell whether it reads the same backwards, upper or lower case.", "Return whether it is a palindrome once all is in lower case."), "return a.lower() == a.lower()[::-1]", ""),
    ("vowels", TEXT, None, ("Count the vowels, capitals too.", "Say how many of its letters are a, e, i, o or u in either case."), "return sum(1 for c in a.lower() if c in 'aeiou')", ""),
    ("without_vowels", TEXT, None, ("Take all vowels out, capitals too.", "Remove every a, e, i, o and u in either case."), "return ''.join(c for c in a if c.lower() not in 'aeiou')", ""),
    ("digits_only", TEXT, None, ("Keep the digits and nothing else.", "Strip everything that is no digit."), "return ''.join(c for c in a if c.isdigit())", ""),
    ("acronym", TEXT, None, ("Build the acronym: the initials of its words in upper case.", "Take the first letter of each word, in capitals, without blanks."), "return ''.join(w[0].upper() for w in a.split())", ""),
    ("swap_case", TEXT, None, ("Swap upper and lower case.", "Turn capitals into small letters and small letters into capitals."), "return a.swapcase()", ""),
    ("squeeze", TEXT, None, ("Write it with single blanks only and none at the ends.", "Tidy the blanks: one between words, none around."), "return ' '.join(a.split())", ""),
    ("backwards_words", TEXT, None, ("Put its words in reverse order.", "Say the words last to first, a blank between them."), "return ' '.join(a.split()[::-1])", ""),
    ("distinct_letters", TEXT, None, ("Count the different characters.", "Say how many distinct characters occur, the blank included."), "return len(set(a))", ""),
    ("commonest", TEXT, None, ("Return the commonest character, the first of equals.", "Answer with the character that occurs most often, the earliest where several do."), "if not a:\n    return ''\nreturn max(a, key=a.count)", "''"),
    ("caesar", MIRRORED, SHIFT, ("Move each small letter on by `{b}` places in the alphabet, around the end; leave others.", "Encrypt it as Caesar did, by `{b}` letters; only small letters move."), "return ''.join(chr((ord(c) - 97 + b) % 26 + 97) if c.islower() else c for c in a)", ""),
    ("digit_sum", NUMBER, None, ("Add up its decimal digits.", "Return the total of its digits."), "return sum(int(c) for c in str(a))", ""),
    ("digital_root", NUMBER, None, ("Add up its digits, and those of the result, until one digit is left.", "Return its digital root."), "while a > 9:\n    a = sum(int(c) for c in str(a))\nreturn a", ""),
    ("is_prime", SMALL, None, ("Tell whether it is a prime.", "Return `True` if it has exactly two divisors."), "return a > 1 and all(a % d for d in range(2, a))", ""),
    ("factorial", SMALL, None, ("Return its factorial.", "Multiply all whole numbers from 1 up to it."), "out = 1\nfor i in range(2, a + 1):\n    out *= i\nreturn out", ""),
    ("fibonacci", SMALL, None, ("Return the Fibonacci number at that place, the first two being 1.", "Start with 1 and 1, let each be the sum of the two before, and return that many-th."), "x, y = 1, 1\nfor _ in range(a - 1):\n    x, y = y, x + y\nreturn x", ""),
    ("squares_up_to", SMALL, None, ("List the squares of 1 up to it.", "Return each whole number from 1 up to it, squared."), "return [x * x for x in range(1, a + 1)]", ""),
    ("triangular", SMALL, None, ("Add all whole numbers from 1 up to it.", "Return the triangular number."), "return a * (a + 1) // 2", ""),
    ("collatz", SMALL, None, ("Count the steps to 1: halve what is even, else triple it and add 1.", "Say how long its Collatz chain is, in steps until 1."), "n = 0\nwhile a != 1:\n    a, n = (a // 2 if a % 2 == 0 else 3 * a + 1), n + 1\nreturn n", ""),
    ("fizz", SMALL, None, ("Count to it from 1 and say `Fizz` for multiples of 3, numbers as text otherwise.", "List the numbers from 1 as strings, `Fizz` in place of what 3 divides."), "return ['Fizz' if x % 3 == 0 else str(x) for x in range(1, a + 1)]", ""),
    ("to_binary", NUMBER, None, ("Write it in base two.", "Return its binary digits as a string."), "return bin(a)[2:]", ""),
    ("from_binary", BINARY, None, ("Read it as a number in base two.", "Return the number that these binary digits mean."), "return int(a, 2)", ""),
    ("is_sorted", NUMBERS, None, ("Tell whether no number is smaller than the one before.", "Return whether the list is in ascending order already."), "return all(x <= y for x, y in zip(a, a[1:]))", ""),
    ("second_largest", NUMBERS, None, ("Return the second largest of the different numbers; with fewer than two, `None`.", "Answer with the runner-up: the largest but one, equal ones counted once; `None` if there is none."), "d = sorted(set(a))\nreturn d[-2] if len(d) > 1 else None", "None"),
    ("product", NUMBERS, None, ("Multiply them all.", "Return their product; that of nothing is 1."), "out = 1\nfor x in a:\n    out *= x\nreturn out", "1"),
    ("records", NUMBERS, None, ("Replace each by the largest so far.", "Return the running maximum."), "return [max(a[: i + 1]) for i in range(len(a))]", ""),
    ("rotate", NUMBERS, SHIFT, ("Move the first `{b}` entries to the end; more than there are go round again.", "Rotate the list to the left by `{b}`."), "if not a:\n    return []\nb %= len(a)\nreturn a[b:] + a[:b]", "[]"),
    ("longest_rise", NUMBERS, None, ("Return the length of the longest stretch in which each is larger than the one before.", "Say how many entries its longest climb has."), "if not a:\n    return 0\nbest = n = 1\nfor x, y in zip(a, a[1:]):\n    n = n + 1 if y > x else 1\n    best = max(best, n)\nreturn best", "0"),
    ("balanced", BRACKETS, None, ("Tell whether every round bracket is closed in order; square ones do not count.", "Return whether the round brackets match."), "n = 0\nfor c in a:\n    n += (c == '(') - (c == ')')\n    if n < 0:\n        return False\nreturn n == 0", ""),
    ("complement", DNA, None, ("Swap A with T and C with G.", "Return the complementary strand."), "return ''.join({'A': 'T', 'T': 'A', 'C': 'G', 'G': 'C'}[c] for c in a)", ""),
    ("median_low", NUMBERS, None, ("Return the middle of the sorted numbers, the lower of two.", "Answer with the lower median."), "if not a:\n    return None\nreturn sorted(a)[(len(a) - 1) // 2]", "None"),
    ("lengths_by_word", STRINGS, None, ("Write each as itself, a colon and its length.", "Return `word:length` for each."), "return [f'{w}:{len(w)}' for w in a]", ""),
    ("longest_common_start", STRINGS, None, ("Return what all of them start with.", "Find the longest common prefix."), "if not a:\n    return ''\nn = 0\nwhile n < min(map(len, a)) and len({w[n] for w in a}) == 1:\n    n += 1\nreturn a[0][:n]", "''"),
    ("camel", TEXT, None, ("Write its words in camel case: all small, but capitals at the second word and on.", "Join the words as camelCase does."), "w = a.lower().split()\nreturn ''.join(w[:1] + [x.capitalize() for x in w[1:]])", ""),
    ("snake", TEXT, None, ("Write it in snake case: lower case, underscores for blanks.", "Join the words, in lower case, with underscores."), "return '_'.join(a.lower().split())", ""),
    ("every_other_up", MIRRORED, None, ("Put every second letter in upper case, beginning with the first; the others in lower case.", "Write it with capitals at even positions, from 0, and small letters between."), "return ''.join(c.upper() if i % 2 == 0 else c.lower() for i, c in enumerate(a))", ""),
]  # fmt: skip


def draw(rng: random.Random) -> Task:
    """One of the puzzles."""
    hint, kind, second, ways, body, empty = rng.choice(PUZZLES)
    name, other = rng.choice(kind.names), rng.choice(second.names) if second else ""
    parameters = [(name, kind), *([(other, second)] if second else [])]
    lines = [f"a = {name}", *([f"b = {other}"] if second else []), body]
    edge = (
        rng.choice([f"For an empty input it gives `{empty}`.", f"If it is empty, return `{empty}`."]) if empty else ""
    )
    return Task(hint, parameters, [rng.choice(ways).format(b=other)], "\n".join(lines), edge, (hint,))
