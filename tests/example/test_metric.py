"""The grade is told backward: from hidden tests to the verdict, and only then to the stages."""

from typing import Any

import dspy
import pytest

from examples.spec_to_review.metric import GOOD, grade, graded
from examples.spec_to_review.program import Example, Function, Review, Section
from support.example import rows

ROW = {
    "spec": "We need `twice(n)`. `twice(1)` gives `2`. `twice(3)` gives `6`.",
    "dspy_hidden_tests": [{"function": "twice", "shown": 2, "cases": [["twice(5)", "10"], ["twice(0)", "0"]]}],
}
RIGHT: dict[str, Any] = {
    "functions": [
        {
            "signature": "twice(n)",
            "requirements": [],
            "examples": [{"call": "twice(1)", "result": "2"}, {"call": "twice(3)", "result": "6"}],
        }
    ],
    "sections": [{"title": "", "functions": ["twice"]}],
    "code": "def twice(n):\n    return 2 * n",
    "tests": "assert twice(1) == 2",
    "review": {"approved": True, "findings": []},
}
WRONG_CODE = {"code": "def twice(n):\n    return n + 1"}
REJECTED = {"review": {"approved": False, "findings": ["twice(3)"]}}


def score(row: dict[str, Any] = ROW, **changes: Any) -> float:
    """The grade of the right answer with changes."""
    return float(grade(dspy.Example(**row).with_inputs("spec"), dspy.Prediction(**{**RIGHT, **changes})))


def test_all_right_is_one() -> None:
    """Typed values and plain JSON are graded alike."""
    typed = {
        "functions": [Function(**one) for one in RIGHT["functions"]],
        "sections": [Section(**one) for one in RIGHT["sections"]],
        "review": Review(**RIGHT["review"]),
    }
    assert isinstance(typed["functions"][0].examples[0], Example)  # type: ignore[index]
    assert score() == score(**typed) == 1.0


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (WRONG_CODE, 0.0),  # approved though it fails
        (REJECTED, 0.0),  # rejected though it passes
        ({**WRONG_CODE, **REJECTED}, 0.3),  # rightly rejected; its tests pass on wrong code
        ({**WRONG_CODE, **REJECTED, "tests": "assert twice(3) == 6"}, 0.5),  # and its tests show why
        ({"tests": ""}, 0.8),
        ({"tests": "assert twice(1) == 3"}, 0.8),
        ({"functions": []}, 0.85),
        ({"sections": []}, 0.85),
        ({"sections": [{"title": "", "functions": ["twice"]}] * 2}, 0.85),
        ({"code": "def twice(n):\n    while True: pass", **REJECTED}, 0.3),
    ],
)
def test_a_wrong_end_is_zero_and_stages_count_after(changes: dict[str, Any], expected: float) -> None:
    """A verdict that disagrees with the tests makes everything worthless; else each stage has its share."""
    tests_alike = 0.2 if "while" in changes.get("code", "") else 0.0  # code that hangs fails its own tests too
    assert score(**changes) == pytest.approx(expected + tests_alike)


def test_the_review_is_not_fooled_by_the_reviewed() -> None:
    """Code that ends the process, or answers by comparing as equal, fails."""
    for code in ("import os\nos._exit(0)", "class A:\n    __eq__ = lambda *_: True\ndef twice(n): return A()"):
        assert score(code=code) == 0.0


def test_a_trace_asks_whether_a_run_is_fit_for_a_demo() -> None:
    """DSPy's bootstrapping tests for truth, so it gets a bool."""
    example, good = dspy.Example(**ROW), dspy.Prediction(**RIGHT)
    assert grade(example, good, trace=[]) is True
    assert grade(example, dspy.Prediction(**{**RIGHT, **WRONG_CODE, **REJECTED}), []) is False
    assert score(tests="", functions=[]) < GOOD


def test_without_hidden_tests_the_text_and_a_correction_decide() -> None:
    """A pulled example is graded by what its specification shows and by the tests of its correction."""
    pulled = {"spec": ROW["spec"]}
    assert score(pulled) == 1.0
    assert score(pulled, **WRONG_CODE) == 0.0
    off_by_one = {"code": "def twice(n):\n    return 2 * n if n < 4 else 0"}
    assert score(pulled, **off_by_one) == 1.0
    assert score({**pulled, "tests": "assert twice(5) == 10"}, **off_by_one) == 0.0
    assert graded(pulled, {**RIGHT, **WRONG_CODE}).failures == ["twice(3) gives 4, not 6"]


def test_nothing_to_test_by_is_no_success() -> None:
    """A specification without examples, and no tests: approval cannot be right."""
    assert score({"spec": "Do something."}) == 0.0


def test_solutions_of_the_data_are_good() -> None:
    """The metric is satisfied by what solves the rows."""
    for row in rows("validation")[:8]:
        found = graded(row, {**RIGHT, "code": row["dspy_solution"], "tests": ""})
        assert found.passed
        assert found.agrees
        assert found.stages["code"] == 1.0
