"""The operations that the model knows, as lines of Python over `it`; `{c}` is a number or the second parameter."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_NUMBERS, _STRINGS, _TEXT, _NUMBER, _LIST, _ANY = "numbers", "strings", "text", "number", "list", "any"


@dataclass(frozen=True)
class Operation:
    """One operation."""

    takes: str
    code: str
    words: str = ""
    """Stems that bring it to mind, where it is not common."""

    @property
    def has_constant(self) -> bool:
        """Whether a number has to be chosen."""
        return "{c}" in self.code

    def called_for(self, requirements: str) -> int:
        """How many of its stems stand in the requirements, in lower case."""
        return sum(1 for word in self.words.split() if word.replace("_", " ") in requirements)

    def seen_in(self, code: str) -> bool:
        """Whether a demo's code has it."""
        pattern = re.escape(self.code).replace(re.escape("{c}"), r"\S+?").replace("it", r"\w+")
        return re.search(pattern, code) is not None


OPERATIONS: Sequence[Operation] = (
    # numbers -> numbers
    Operation(_NUMBERS, "[x for x in it if x % {c} == 0]", "divisib multiple even divides"),
    Operation(_NUMBERS, "[x for x in it if x % {c} != 0]", "leave_out drop not_divisible indivisible"),
    Operation(_NUMBERS, "[x for x in it if x % 2 == 0]", "even odd"),
    Operation(_NUMBERS, "[x for x in it if x % 2 == 1]", "odd even"),
    Operation(_NUMBERS, "[x for x in it if x > {c}]", "above greater larger more_than exceed positive over"),
    Operation(_NUMBERS, "[x for x in it if x < {c}]", "below smaller less under fewer negative"),
    Operation(_NUMBERS, "[x for x in it if x < 0]", "negative under_zero below_zero"),
    Operation(_NUMBERS, "[x * x for x in it]", "square itself"),
    Operation(_NUMBERS, "[x + {c} for x in it]", "add raise increase plus"),
    Operation(_NUMBERS, "[x * {c} for x in it]", "multipl scale times double triple"),
    Operation(_NUMBERS, "[abs(x) for x in it]", "absolute sign distance"),
    Operation(_NUMBERS, "[-x for x in it]", "negate flip opposite"),
    Operation(_NUMBERS, "[x % {c} for x in it]", "remainder modulo"),
    Operation(_NUMBERS, "[x // {c} for x in it]", "halve divide half"),
    Operation(_NUMBERS, "[b - a for a, b in zip(it, it[1:])]", "difference change neighbour delta"),
    Operation(_NUMBERS, "[sum(it[:i + 1]) for i in range(len(it))]", "running cumulative so_far"),
    Operation(_NUMBERS, "[max(it[:i + 1]) for i in range(len(it))]", "running record largest_so_far"),
    # numbers -> number
    Operation(_NUMBERS, "sum(it)"),
    Operation(_NUMBERS, "max(it)"),
    Operation(_NUMBERS, "min(it)"),
    Operation(_NUMBERS, "max(it) - min(it)", "spread range gap"),
    Operation(_NUMBERS, "sum(it) // len(it)", "average mean"),
    Operation(_NUMBERS, "sorted(it)[(len(it) - 1) // 2]", "median middle"),
    Operation(_NUMBERS, "sorted(set(it))[-2]", "second runner"),
    Operation(_NUMBERS, "sorted(it) == it", "whether ascending order"),
    # any list
    Operation(_LIST, "sorted(it)"),
    Operation(_LIST, "sorted(it, reverse=True)", "descending from_largest reverse"),
    Operation(_LIST, "it[::-1]", "reverse backward last_first"),
    Operation(_LIST, "list(dict.fromkeys(it))", "duplicate twice unique distinct different"),
    Operation(_LIST, "it[:{c}]", "first cut shorten up_to keep"),
    Operation(_LIST, "it[{c}:]", "skip pass_over without_the_first"),
    Operation(_LIST, "it[::2]", "every_second even_position alternate"),
    Operation(_LIST, "it[{c}:] + it[:{c}]", "rotate to_the_end"),
    Operation(_LIST, "it[0]"),
    Operation(_LIST, "it[-1]"),
    Operation(_LIST, "len(it)"),
    # strings
    Operation(_STRINGS, "[x for x in it if len(x) > {c}]", "longer skip_short more_than"),
    Operation(_STRINGS, "[x for x in it if len(x) < {c}]", "shorter skip_any fewer"),
    Operation(_STRINGS, "[x for x in it if x[:1].lower() in 'aeiou']", "vowel"),
    Operation(_STRINGS, "[x for x in it if x == x.lower()]", "lower_case capital"),
    Operation(_STRINGS, "[x.upper() for x in it]", "upper shout"),
    Operation(_STRINGS, "[x.lower() for x in it]", "lower capitals"),
    Operation(_STRINGS, "[x[::-1] for x in it]", "reverse backward"),
    Operation(_STRINGS, "[x.capitalize() for x in it]", "capitalize one_capital"),
    Operation(_STRINGS, "[x[:1] for x in it]", "initial first_letter acronym"),
    Operation(_STRINGS, "[x[:{c}] for x in it]", "shorten letters_of_each"),
    Operation(_STRINGS, "[len(x) for x in it]", "length long"),
    Operation(_STRINGS, "' '.join(it)"),
    Operation(_STRINGS, "'-'.join(it)", "hyphen dash"),
    Operation(_STRINGS, "'_'.join(it)", "underscore snake"),
    Operation(_STRINGS, "''.join(it)", "glue without without_anything acronym"),
    Operation(_STRINGS, "sorted(it, key=len)", "by_length short_ones"),
    Operation(_STRINGS, "max(it, key=len)", "longest most_letters"),
    Operation(_STRINGS, "sum(len(x) for x in it)", "in_all lengths"),
    Operation(_STRINGS, "[x + ':' + str(len(x)) for x in it]", "colon word:length"),
    # text
    Operation(_TEXT, "it.split()"),
    Operation(_TEXT, "it.lower()"),
    Operation(_TEXT, "it.upper()"),
    Operation(_TEXT, "it.strip()", "ends tidy around"),
    Operation(_TEXT, "it.swapcase()", "swap capitals_into"),
    Operation(_TEXT, "it[::-1]", "reverse backward"),
    Operation(_TEXT, "it == it[::-1]", "palindrome same_backward reads_the_same"),
    Operation(_TEXT, "len(it)"),
    Operation(_TEXT, "len(set(it))", "different distinct"),
    Operation(_TEXT, "sum(1 for x in it.lower() if x in 'aeiou')", "vowel a,_e,"),
    Operation(_TEXT, "''.join(x for x in it if x.lower() not in 'aeiou')", "vowel a,_e,"),
    Operation(_TEXT, "''.join(x for x in it if x.isdigit())", "digit"),
    Operation(_TEXT, "[int(x) for x in it if x.isdigit()]", "digit"),
    Operation(_TEXT, "int(it, 2)", "base_two binary"),
    # number
    Operation(_NUMBER, "[int(x) for x in str(it)]", "digit"),
    Operation(_NUMBER, "[x for x in range(1, it + 1) if it % x == 0]", "divisor divides"),
    Operation(_NUMBER, "list(range(1, it + 1))", "up_to from_1 whole_numbers factorial triang"),
    Operation(_NUMBER, "it * {c}", "times multipl"),
    Operation(_NUMBER, "it + {c}", "plus add"),
    Operation(_NUMBER, "it == {c}", "exactly prime equal"),
    Operation(_NUMBER, "bin(it)[2:]", "base_two binary"),
    Operation(_NUMBER, "str(it)", "as_text string"),
)


def kind_of(value: object) -> str:
    """What kind of value it is."""
    if isinstance(value, bool):
        return "truth"
    if isinstance(value, int):
        return _NUMBER
    if isinstance(value, str):
        return _TEXT
    if isinstance(value, list):
        if not value:
            return _LIST
        return _NUMBERS if isinstance(value[0], int) else _STRINGS
    return "other"


def fits(operation: Operation, kind: str) -> bool:
    """Whether it may be tried on a value of that kind."""
    if operation.takes == kind:
        return True
    return (operation.takes, kind) in {
        (_LIST, _NUMBERS),
        (_LIST, _STRINGS),
        (_NUMBERS, _LIST),
        (_STRINGS, _LIST),
    }
