"""Specifications of small Python functions, made up from a seed, each with hidden tests and a solution.

A row is what a line of `data/*.jsonl` holds:

    spec                the text, all that the program gets
    dspy_hidden_tests   for each function its name, how many examples the text shows, and cases that it does not show
    dspy_solution       code that passes them

DSPy keeps keys that begin with `dspy_` out of all that an optimizer shows to its prompt model, so nothing that is
hidden here reaches a model.
"""

import random
from collections.abc import Collection
from typing import Any

from examples.spec_to_review.specs import prose, puzzles, steps
from examples.spec_to_review.specs.task import Task

Row = dict[str, Any]

SHOWN, HIDDEN = 5, 8
"""Examples in the text, and cases in the hidden tests, of each function."""
SIZES = (1, 1, 1, 1, 1, 1, 2, 2, 3, 4)
"""How many functions a specification asks for, as often as it stands here."""


def generate(
    seed: int | str, count: int = 1, *, functions: int | None = None, words: int = 0, known: Collection[str] = ()
) -> list[Row]:
    """Rows from a seed: the same seed, the same rows.

    Args:
        seed: any number or text.
        count: how many.
        functions: how many functions each asks for, up to 20; by default one to four.
        words: at least so many words each.
        known: keys of tasks that must not appear.
    """
    rng = random.Random(f"spec_to_review {seed}")
    used = set(known)
    return [row for row, _ in (_row(rng, functions or rng.choice(SIZES), words, used) for _ in range(count))]


def keys(seed: int | str, count: int, known: Collection[str] = ()) -> set[str]:
    """The keys of the tasks in `generate(seed, count, known=known)`."""
    rng = random.Random(f"spec_to_review {seed}")
    used = set(known)
    return {key for _, found in (_row(rng, rng.choice(SIZES), 0, used) for _ in range(count)) for key in found}


def _row(rng: random.Random, functions: int, words: int, used: set[str]) -> tuple[Row, list[str]]:
    theme = rng.choice(list(prose.THEMES))
    shown, hidden, solutions = [], [], []
    names: set[str] = set()
    tasks = [_new_task(rng, used) for _ in range(functions)]
    for task in tasks:
        name = _name(rng, theme, task, names)
        cases = task.cases(rng, SHOWN + HIDDEN)
        at = SHOWN if len(cases) > SHOWN + 2 else len(cases) // 2
        visible = cases[:at]
        if (
            task.edge and task.parameters[0][1].empty is not None and rng.random() < 0.6
        ):  # the empty case is told in words alone
            visible, cases = visible[1:], [*cases[1:], cases[0]]
            at -= 1
        rng.shuffle(visible)
        shown.append(prose.Shown(name, task, visible))
        tests = [[f"{name}({arguments})", result] for arguments, result in cases[at:]]
        hidden.append({"function": name, "shown": at, "cases": tests})
        solutions.append(task.solution(name))
    spec = prose.written(rng, theme, shown, words)
    row = {"spec": spec, "dspy_hidden_tests": hidden, "dspy_solution": "\n\n".join(solutions)}
    return row, [task.key for task in tasks]


def _new_task(rng: random.Random, used: set[str]) -> Task:
    for _ in range(10_000):
        task: Task = rng.choice([steps.draw, steps.draw, puzzles.draw])(rng)
        if task.key not in used and _says_something(task):
            used.add(task.key)
            return task
    raise ValueError("no task is left that was not asked for yet")


def _says_something(task: Task) -> bool:
    """Whether results differ, so that examples tell something."""
    cases = task.cases(random.Random(task.key), 10)
    results = {result for _, result in cases}
    return len(cases) >= 4 and (len(results) > 2 or results == {"True", "False"})


def _name(rng: random.Random, theme: str, task: Task, taken: set[str]) -> str:
    for _ in range(100):
        name = f"{theme}_{rng.choice(list(task.hints))}" + (str(len(taken)) if rng.random() < 0.3 else "")
        if name not in taken:
            break
    else:
        name = f"{theme}_{len(taken)}"
    taken.add(name)
    return name
