"""From tasks to the text of a specification, as different people would write it."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from examples.spec_to_review.specs.task import Task

Case = tuple[str, str]
"""Arguments and result, as Python literals."""

THEMES = {
    "harbor": "The harbor office writes down what ships report, and the night shift reads it.",
    "library": "Our library wants its desk to answer simple questions without calling anybody.",
    "orchard": "Pickers in the orchard send what they count, several times a day.",
    "chess": "The chess club keeps its results in a sheet that has grown over the years.",
    "weather": "A weather station on the roof sends its readings every ten minutes.",
    "bakery": "The bakery plans tomorrow's dough from what was sold today.",
    "museum": "Visitors of the museum leave short notes, and the staff sorts them.",
    "railway": "Dispatchers of the railway type quickly and read even more quickly.",
    "clinic": "At the clinic's front desk each form is checked before it is filed.",
    "radio": "The radio station logs what it plays, and its listeners answer.",
    "garden": "The botanical garden labels its beds, and labels fade.",
    "workshop": "In the workshop every part has a tag and every tag has a story.",
    "observatory": "The observatory has clear nights seldom, so nothing may be lost.",
    "ferry": "The ferry runs from spring to autumn, and its log is kept by hand.",
    "archive": "An archive of letters is being typed in, one box after the other.",
    "brewery": "The brewery measures each tank in the morning and in the evening.",
}
BACKGROUND = (
    "This text was agreed with the people who use the result.",
    "Speed is no concern here; the inputs are small.",
    "Nothing is read from files and nothing is printed.",
    "Arguments are as described; nobody has to check them.",
    "The caller's data must stay as it is.",
    "Only what Python itself brings may be used.",
    "Earlier attempts went wrong because nobody had written down what was wanted.",
    "Questions go to the desk that ordered this, not to the person who typed it.",
    "A later version may do more; this one should do no more than is said.",
    "Names of functions and parameters are fixed, since others call them already.",
    "Whoever maintains this next year should understand it in one reading.",
    "The old tool did nearly the same and will be switched off in the summer.",
    "Where two readings of a sentence are possible, the examples decide.",
    "No network, no clock and no chance is involved.",
)


@dataclass(frozen=True)
class Shown:
    """A task with its name and the examples that its specification shows."""

    name: str
    task: Task
    examples: Sequence[Case]

    @property
    def signature(self) -> str:
        """Such as `total(numbers)`."""
        return f"{self.name}({', '.join(name for name, _ in self.task.parameters)})"


def written(rng: random.Random, theme: str, functions: Sequence[Shown], words: int = 0) -> str:
    """The specification of `functions`, with background until it has at least `words` words."""
    write = rng.choice([_as_headings, _as_letter, _as_list])
    background = [THEMES[theme], *rng.sample(BACKGROUND, rng.choice([0, 0, 1, 2]))] if rng.random() < 0.8 else []
    blocks = [write(rng, shown) for shown in functions]
    missing = words - len(" ".join([*background, *blocks]).split())
    while missing > 0:
        sentence = rng.choice(BACKGROUND)
        index = rng.randrange(len(blocks))
        blocks[index] += ("\n\n" if rng.random() < 0.2 else " ") + sentence
        missing -= len(sentence.split())
    return "\n\n".join([" ".join(background), *blocks]).strip()


def _as_headings(rng: random.Random, shown: Shown) -> str:
    parts = [f"## `{shown.signature}`", " ".join([_parameters(shown.task), *shown.task.sentences]), shown.task.edge]
    return "\n\n".join(part for part in [*parts, _examples(rng, shown)] if part)


def _as_letter(rng: random.Random, shown: Shown) -> str:
    ask = rng.choice(["We need a function", "Please write", "What is missing is", "There should be"])
    sentences = " ".join(shown.task.sentences)
    text = f"{ask} `{shown.signature}`. {_parameters(shown.task)} {sentences} {shown.task.edge}".strip()
    return f"{text}\n\n{_examples(rng, shown)}"


def _as_list(rng: random.Random, shown: Shown) -> str:
    lines = [_parameters(shown.task), *shown.task.sentences, *([shown.task.edge] if shown.task.edge else [])]
    return (
        "\n".join([f"Function: `{shown.signature}`", "", *(f"- {line}" for line in lines)])
        + "\n\n"
        + _examples(rng, shown)
    )


def _parameters(task: Task) -> str:
    kinds = [f"`{name}` is a {kind.words}" for name, kind in task.parameters]
    return " and ".join(kinds) + "."


def _examples(rng: random.Random, shown: Shown) -> str:
    """Some examples as code, the others in sentences; or all in one way."""
    plain = rng.choice([0, 1, 1, 2, len(shown.examples)])
    as_code = rng.choice([_equations, _session])
    in_words = rng.choice([_sentences, _sentences, _table])
    parts = [as_code(shown, shown.examples[:plain])] if plain else []
    parts += [in_words(shown, shown.examples[plain:])] if plain < len(shown.examples) else []
    return "\n\n".join(parts)


def _equations(shown: Shown, cases: Sequence[Case]) -> str:
    return "\n".join(f"    {shown.name}({arguments}) == {result}" for arguments, result in cases)


def _session(shown: Shown, cases: Sequence[Case]) -> str:
    return "\n".join(f"    >>> {shown.name}({arguments})\n    {result}" for arguments, result in cases)


def _sentences(shown: Shown, cases: Sequence[Case]) -> str:
    ways = ("For `{c}` the answer is `{r}`.", "`{c}` gives `{r}`.", "From `{c}` we expect `{r}`.")
    texts = [
        ways[index % len(ways)].format(c=f"{shown.name}({arguments})", r=result)
        for index, (arguments, result) in enumerate(cases)
    ]
    return " ".join(texts)


def _table(shown: Shown, cases: Sequence[Case]) -> str:
    rows = [f"| `{shown.name}({arguments})` | `{result}` |" for arguments, result in cases]
    return "\n".join(["| call | result |", "|---|---|", *rows])
