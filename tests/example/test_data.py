"""The specifications: varied, solvable, and in one set each."""

import ast
import itertools
import re
import statistics
from difflib import SequenceMatcher
from typing import Any

import pytest

from examples.spec_to_review import sandbox
from examples.spec_to_review.reading import called, shown
from examples.spec_to_review.specs import generate, puzzles, steps
from examples.spec_to_review.specs.__main__ import SETS, committed, lines
from support.example import DATA, rows

ALL = {name: rows(name) for name in SETS}


def test_the_files_are_what_the_generator_writes() -> None:
    """Nobody edited them, and anybody can make them again."""
    for name, made in committed().items():
        assert (DATA / f"{name}.jsonl").read_text(encoding="utf-8") == lines(made), name
        assert len(made) == SETS[name]


def test_no_set_asks_for_what_another_asks_for() -> None:
    """Not one specification, nor one hidden test, nor a text that is nearly the same, in two sets."""
    for one, other in itertools.combinations(ALL.values(), 2):
        assert not {row["spec"] for row in one} & {row["spec"] for row in other}
        assert not _solutions(one) & _solutions(other)
        for a, b in itertools.product(one, other):
            matcher = SequenceMatcher(None, a["spec"], b["spec"], autojunk=False)
            assert matcher.real_quick_ratio() < 0.95 or matcher.quick_ratio() < 0.95 or matcher.ratio() < 0.9


def _solutions(found: list[dict[str, Any]]) -> set[str]:
    """The bodies of the solutions, whatever the functions and parameters are called."""
    bodies = set()
    for row in found:
        for function in ast.parse(row["dspy_solution"]).body:
            assert isinstance(function, ast.FunctionDef)
            text = ast.unparse(function.body)  # type: ignore[arg-type]
            for at, argument in enumerate(function.args.args):
                text = re.sub(rf"\b{argument.arg}\b", f"_{at}", text)
            bodies.add(text)
    return bodies


def test_specifications_are_varied() -> None:
    """Of many lengths, of one to four functions, and hardly ever of the same words."""
    found = [row for one in ALL.values() for row in one]
    words = [len(row["spec"].split()) for row in found]
    assert min(words) >= 30
    assert statistics.stdev(words) > 50
    assert {len(row["dspy_hidden_tests"]) for row in found} == {1, 2, 3, 4}
    assert len(_solutions(found)) > 150


def _matches(outcome: sandbox.Outcome, cases: dict[str, str]) -> bool:
    """Return whether there are cases, and each of them has a result that is the expected value."""
    return bool(cases) and all(itertools.starmap(sandbox.same, zip(outcome.results, cases.values(), strict=True)))


@pytest.mark.parametrize("name", SETS)
def test_a_solution_passes_the_hidden_tests(name: str) -> None:
    """Every row can be solved, in the sandbox too; and the text shows nothing that is hidden."""
    for row in ALL[name]:
        cases = dict(case for function in row["dspy_hidden_tests"] for case in function["cases"])
        outcome = sandbox.run(row["dspy_solution"], list(cases))
        assert _matches(outcome, cases), (row["spec"], outcome.problems)
        assert not set(cases) & {call for call, _ in shown(row["spec"])}


@pytest.mark.parametrize("name", SETS)
def test_the_examples_shown_are_true(name: str) -> None:
    """A solution gives what the text says, and the text has as many examples as the row says."""
    for row in ALL[name]:
        cases = dict(shown(row["spec"]))
        outcome = sandbox.run(row["dspy_solution"], list(cases))
        assert _matches(outcome, cases), (row["spec"], outcome.problems)
        for function in row["dspy_hidden_tests"]:
            assert sum(called(call) == function["function"] for call in cases) == function["shown"] >= 2
            assert len(function["cases"]) >= 2


def test_a_seed_makes_the_same_rows_again_and_another_one_others() -> None:
    """`generate` is a function of its arguments."""
    assert generate("a", 3) == generate("a", 3) != generate("b", 3)


@pytest.mark.parametrize(("functions", "words"), [(1, 0), (1, 400), (20, 5000)])
def test_specifications_of_any_size(functions: int, words: int) -> None:
    """From a few words to five thousand, from one function to twenty."""
    [row] = generate("size", functions=functions, words=words)
    assert len(row["dspy_hidden_tests"]) == functions
    assert words <= len(row["spec"].split()) <= max(words, 150) + 50


def test_hundreds_of_fresh_rows_can_be_solved() -> None:
    """What the demo makes up at its moment is as sound as what is committed."""
    for row in generate("fresh", 40):
        cases = dict(case for function in row["dspy_hidden_tests"] for case in function["cases"])
        names: dict[str, Any] = {}
        exec(row["dspy_solution"], names)
        assert cases
        assert all(repr(eval(call, dict(names))) == result for call, result in cases.items())


def test_every_kind_of_task_is_drawn() -> None:
    """No shape or puzzle is dead text."""
    import random

    rng = random.Random(1)
    assert {puzzles.draw(rng).key for _ in range(2000)} == {one.solve.__name__ for one in puzzles.PUZZLES}
    assert len({steps.draw(rng).key for _ in range(500)}) > 350
