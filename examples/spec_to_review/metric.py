"""How good a run was, told backward from its end.

The code runs against tests in the sandbox. Then the verdict: a review that approves code which fails, or rejects code
which passes, is a wrong final result and scores 0, whatever the stages look like. Only when the review is right do the
stages count, each for its share:

    code        functions that pass all of their tests
    tests       functions whose own tests say the same of the code as the tests here do
    functions   examples of the specification that the parser found
    sections    functions that are planned exactly once, each in a section of its own

The tests are the row's hidden ones. A pulled example has none: then it is what the specification itself shows, and
what a correction's tests say besides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from examples.spec_to_review import sandbox
from examples.spec_to_review.reading import Case, called, shown, written_as_code

WEIGHTS = {"code": 0.5, "tests": 0.2, "functions": 0.15, "sections": 0.15}
GOOD = 0.8
"""What a run needs to be shown as a demo."""


@dataclass(frozen=True)
class Grade:
    """What was found about a run."""

    passed: bool
    """Whether the code passes all tests."""
    agrees: bool
    """Whether the review says so, or says not where it does not."""
    stages: Mapping[str, float]
    """From 0 to 1, for each stage."""
    failures: Sequence[str]
    """Calls with another result than they should have, and which."""

    @property
    def score(self) -> float:
        """From 0 to 1."""
        if not self.agrees:
            return 0.0
        return round(sum(WEIGHTS[name] * value for name, value in self.stages.items()), 6)


def grade(example: Any, prediction: Any, trace: Any = None) -> float | bool:
    """The metric as DSPy calls it: the score; with a trace, whether the run is good enough for a demo."""
    score = graded(example, prediction).score
    return score if trace is None else score >= GOOD


def graded(example: Any, prediction: Any) -> Grade:
    """The grade of a prediction, whose fields are typed values or plain JSON.

    Args:
        example: has `spec`, and `dspy_hidden_tests` or a correction's `tests`.
        prediction: has the outputs of the program.
    """
    cases = _cases(example)
    code, written = str(prediction["code"]), written_as_code(str(prediction["tests"]))[:200]
    calls = tuple(dict.fromkeys([call for call, _ in cases] + [call for call, _ in written]))
    results = dict(zip(calls, _results(code, calls), strict=True))
    names = list(dict.fromkeys(called(call) for call, _ in cases))
    right = {name: _holds(name, cases, results) for name in names}
    own = {name: _holds(name, written, results) for name in names}
    passed = bool(names) and all(right.values())
    failures = [
        f"{call} gives {results[call]}, not {result}" for call, result in cases if not _is(results, call, result)
    ]
    stages = {
        "code": _share(right[name] is True for name in names),
        "tests": _share(own[name] is right[name] for name in names),
        "functions": _found(str(example["spec"]), _plain(prediction["functions"]), names),
        "sections": _planned(_plain(prediction["sections"]), names),
    }
    return Grade(passed, _plain(prediction["review"])["approved"] is passed, stages, failures)


def _cases(example: Any) -> list[Case]:
    hidden = example.get("dspy_hidden_tests")
    if hidden:
        return [(call, result) for function in hidden for call, result in function["cases"]]
    return list({**dict(shown(str(example["spec"]))), **dict(written_as_code(str(example.get("tests") or "")))}.items())


@lru_cache(maxsize=4096)
def _results(code: str, calls: tuple[str, ...]) -> Sequence[str | None]:
    return sandbox.run(code, calls).results


def _is(results: Mapping[str, str | None], call: str, expected: str) -> bool:
    return sandbox.same(results[call], expected)


def _holds(name: str, cases: Sequence[Case], results: Mapping[str, str | None]) -> bool | None:
    """Whether all cases of a function hold; None where there is none."""
    of_it = [(call, result) for call, result in cases if called(call) == name]
    return all(_is(results, call, result) for call, result in of_it) if of_it else None


def _found(spec: str, functions: Any, names: Sequence[str]) -> float:
    listed = {(called(one["signature"]), example["call"]) for one in functions for example in one["examples"]}
    there = [(called(call), call) for call, _ in shown(spec) if called(call) in names]
    return _share(one in listed for one in there)


def _planned(sections: Any, names: Sequence[str]) -> float:
    homes = {name: [one["functions"] for one in sections if name in one["functions"]] for name in names}
    return _share(len(home) == 1 and len(home[0]) == 1 for home in homes.values())


def _share(truths: Any) -> float:
    values = list(truths)
    return sum(values) / len(values) if values else 0.0


def _plain(value: Any) -> Any:
    """Typed values as JSON has them."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.model_dump() if hasattr(value, "model_dump") else value
