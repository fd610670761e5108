"""Metrics: each caller in DSPy gets the kind of value it wants."""

from functools import partial
from typing import Any

import dspy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t0dspy.errors import MetricError
from t0dspy.flywheel.builtin_metrics import agrees_with_feedback, backward_grade, exact_match
from t0dspy.flywheel.metrics import (
    ANSWER,
    COMMENTS,
    FEEDBACK,
    Metric,
    as_score,
    expose_trace,
    load_metric,
    mark_paths,
    raise_message,
)

GOLD = dspy.Example(q="1+1", answer="Two").with_inputs("q")


def said(answer: object) -> dspy.Prediction:
    return dspy.Prediction(answer=answer)


@given(st.floats(0, 1), st.floats(0.01, 1))
def test_a_metric_gives_each_caller_its_kind(value: float, threshold: float) -> None:
    """Bootstrapping gets a bool that respects the threshold, scoring the float, GEPA score and text."""
    metric = Metric(lambda example, prediction: value, threshold)
    assert metric(GOLD, said("x"), []) is (value >= threshold)
    assert metric(GOLD, said("x")) == value
    asked = metric.gepa(GOLD, said("x"), [], "self", [])
    assert asked.score == value
    assert f"{value:g}" in asked.feedback


def test_a_score_of_zero_in_a_prediction_is_no_demo() -> None:
    """DSPy would accept Prediction(score=0.0) as a demo, since it is not empty."""
    metric = Metric(lambda example, prediction, trace=None: dspy.Prediction(score=0.0, feedback="bad"))
    assert metric(GOLD, said("x"), []) is False
    assert metric.gepa(GOLD, said("x")).feedback == "bad"


@pytest.mark.parametrize("value", ["1", None, float("nan"), float("inf"), dspy.Prediction(score="high"), [1.0]])
def test_what_is_no_score_is_an_error(value: object) -> None:
    """A metric that gives no score is not silently a 0."""
    with pytest.raises(MetricError, match="returned"):
        as_score(value)


def test_a_metric_may_take_two_to_five_arguments() -> None:
    """All of DSPy's conventions are called as they are written."""
    kinds = [
        lambda example, prediction: 1,
        lambda example, prediction, trace: trace is None,
        lambda example, prediction, trace=None, pred_name=None, pred_trace=None: 1.0,
        lambda *everything: len(everything) == 5,
    ]
    assert [Metric(one)(GOLD, said("x")) for one in kinds] == [1.0] * 4
    for wrong in (lambda example: 1, lambda: 1, lambda a, b, c, d, e, f: 1):
        with pytest.raises(MetricError, match="metric\\(example, prediction"):
            Metric(wrong)


def test_metrics_are_loaded_by_name() -> None:
    """`module:function`; what is none is named."""
    assert load_metric("t0dspy.flywheel.builtin_metrics:exact_match").name == "exact_match"
    for reference, why in (("json:nothing", "no"), ("nowhere_at_all:f", "no module"), ("math:pi", "float"), ("x", "x")):
        with pytest.raises(MetricError, match=why):
            load_metric(reference)


def test_comments_reach_gepa() -> None:
    """What people wrote is part of the feedback."""
    example = dspy.Example({**GOLD.toDict(), COMMENTS: ("too long",)}).with_inputs("q")
    asked = Metric(exact_match()).gepa(example, said("three"), [], "self", [])
    assert asked.score == 0
    assert "too long" in asked.feedback


def test_exact_match_compares_texts_as_people_do() -> None:
    """Blanks around and case do not count; other types do."""
    assert exact_match()(GOLD, said(" two ")) == 1.0
    assert exact_match("answer")(GOLD, said("three")) == 0.0
    number = dspy.Example(q="?", n=3).with_inputs("q")
    assert exact_match()(number, dspy.Prediction(n=3)) == 1.0
    assert exact_match()(number, dspy.Prediction(n="3")) == 0.0


def test_exact_match_without_gold_is_an_error() -> None:
    """An example without a label is not a wrong answer."""
    with pytest.raises(MetricError, match="no gold"):
        exact_match()(dspy.Example(q="1").with_inputs("q"), said("x"))
    with pytest.raises(MetricError, match="'other'"):
        exact_match("other")(GOLD, said("x"))


@pytest.mark.parametrize(
    ("verdict", "answer", "score"),
    [
        (True, "yes", 1.0),
        (True, "no", 0.0),
        (False, "yes", 0.0),
        (False, "no", 1.0),
        (0.9, "yes", 1.0),
        (None, "yes", 0.5),
    ],
)
def test_agreement_with_feedback(verdict: object, answer: str, score: float) -> None:
    """The good answer again, or another than the bad one."""
    feedback = {} if verdict is None else {"good": verdict}
    example = dspy.Example({"q": "?", FEEDBACK: feedback, ANSWER: {"answer": "yes"}}).with_inputs("q")
    assert agrees_with_feedback("good")(example, said(answer)) == score


class Two(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.plan = dspy.ChainOfThought("q -> steps")
        self.write = dspy.Predict("steps -> answer")


def trace_of(program: Two, steps: str) -> list:
    mark_paths(program)
    plan, write = program.plan.predict, program.write
    return [(plan, {"q": "?"}, dspy.Prediction(steps=steps)), (write, {}, said("Two"))]


GRADE = backward_grade(
    exact_match("answer"), stages={"plan": lambda example, one: len(one.steps) / 10}, weights={"final": 3}
)


@given(st.text(max_size=10))
def test_the_final_output_decides(steps: str) -> None:
    """A wrong answer scores 0 whatever its stages; of two right ones the better stages win."""
    trace = trace_of(Two(), steps)
    assert as_score(GRADE(GOLD, said("three"), trace)).value == 0
    assert as_score(GRADE(GOLD, said("two"), trace)).value == pytest.approx((3 + len(steps) / 10) / 4)
    with expose_trace(trace):
        assert Metric(GRADE)(GOLD, said("two")) == pytest.approx((3 + len(steps) / 10) / 4)


def test_a_stage_that_did_not_run_is_named() -> None:
    """Partial credit for nothing would be a wrong score."""
    wrong = backward_grade(exact_match("answer"), stages={"plant": exact_match()})
    with pytest.raises(MetricError, match=r"no stage 'plant'; it has plan.predict, write"):
        wrong(GOLD, said("two"), trace_of(Two(), "abc"))
    with pytest.raises(MetricError, match="'other'"):
        backward_grade(exact_match(), weights={"other": 1})


def test_a_metric_knows_its_source() -> None:
    """Of functions, of callable objects, and nothing where there is no file."""
    assert "def test_a_metric_knows_its_source" in Metric(lambda example, prediction: 1.0).source
    assert "def exact_match" in Metric(exact_match("answer")).source
    assert "def test_a_metric_knows_its_source" in Metric(partial(lambda example, prediction: 1.0)).source
    made: dict[str, Any] = {"__name__": "nowhere"}
    exec("def made(example, prediction): return 1.0", made)
    assert Metric(made["made"]).source == ""


@pytest.mark.parametrize(
    ("metric", "gold", "advice"),
    [
        (lambda ex, pred: ex.answer == pred.answer, "none", 'set gold = "required" in the program\'s settings.'),
        (lambda ex, pred: ex["answer"] == pred.answer, "none", 'set gold = "required" in the program\'s settings.'),
        (exact_match("answer"), "none", 'set gold = "required" in the program\'s settings.'),
        (exact_match(), "none", 'set gold = "required" in the program\'s settings.'),
        (lambda ex, pred: ex.answer, "required", "lacks 'answer' (it has: hint). Complete it in the data"),
        (lambda ex, pred: ex.answer, None, "lacks 'answer' (it has: hint). Add it to the data."),
        (
            lambda ex, pred: ex.anwser,
            "required",
            "has the fields q, hint, and the program's outputs are answer. Did you",
        ),
        (lambda ex, pred: ex.anwser, "none", "Did you mean 'answer'?"),
        (lambda ex, pred: {}["answers"], "none", ""),
        (lambda ex, pred: 1 / 0, "required", ""),
    ],
)
def test_advice_depends_on_the_facts(metric: Any, gold: Any, advice: str) -> None:
    """It never asks for a setting that is there, and says nothing about exceptions of another kind."""
    example = dspy.Example(q="x", hint="y", dspy_feedback={}).with_inputs("q")
    if metric.__name__ == "exact_match":
        example = example.without("hint")
    with pytest.raises(Exception) as caught:  # noqa: PT011 - of any kind
        Metric(metric)(example, said("x"))
    told = Metric(metric, gold=gold).explain(caught.value, example, said("x"))
    assert told.startswith(f"{type(caught.value).__name__}: ")
    assert advice in told
    if gold != "none":
        assert "set gold" not in told
    if not advice:
        assert told == f"{type(caught.value).__name__}: {caught.value}"


def test_how_often_a_metric_raised() -> None:
    """The count, the whole, and one of the exceptions."""
    assert raise_message(3, 4, "ValueError: no") == "the metric raised for 3 of 4 runs, such as: ValueError: no"
