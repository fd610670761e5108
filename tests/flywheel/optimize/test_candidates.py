"""Which demos an optimizer may show, and which items stay sealed."""

import dspy

from support.production import pulled
from t0dspy.flywheel.example import PulledExample
from t0dspy.flywheel.optimize.candidates import Sealed, drop_repeated_sets, production_sets, sanitized
from t0dspy.flywheel.to_dspy import to_demo


class Two(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.plan = dspy.ChainOfThought("q -> steps: list[str]")
        self.write = dspy.Predict("steps: list[str] -> a")


def test_production_demos_go_to_their_own_predictor() -> None:
    """Typed and complete; a stage that lacks a field is none."""
    program = Two()
    stages = (
        PulledExample({"q": "?"}, {"reasoning": "r", "steps": ["1"]}, None, predictor="plan.predict"),
        PulledExample({"steps": ["1"]}, {"a": "!"}, None, predictor="write"),
    )
    lacking = (PulledExample({"q": "?"}, {"steps": ["1"]}, None, predictor="plan.predict"),)
    sets = production_sets([pulled(stages=stages), pulled(stages=lacking)], program, 4)
    assert [dict(demo) for demo in sets["plan.predict"][0]] == [
        {"augmented": True, "q": "?", "reasoning": "r", "steps": ["1"]}
    ]
    assert [dict(demo) for demo in sets["write"][0]] == [{"augmented": True, "steps": ["1"], "a": "!"}]
    assert to_demo(pulled(outputs=None), program.write) is None


def test_sealed_items_are_known_in_any_order_of_fields() -> None:
    """Nested objects too; a demo that lacks one of the inputs shows no item."""
    sealed = Sealed([{"q": {"x": 1, "y": 2}, "n": 1}])
    assert sealed.holds({"n": 1, "q": {"y": 2, "x": 1}, "a": "!"})
    assert not sealed.holds({"q": {"x": 1, "y": 2}})
    assert not sealed.holds({"n": 2, "q": {"x": 1, "y": 2}})
    demos = [dspy.Example(q="same", n=3), dspy.Example(q={"x": 1, "y": 2}, n=1)]
    assert sealed.without(demos) == demos[:1]


def test_demos_hold_the_fields_of_their_predictor_alone() -> None:
    """What an example holds besides never reaches a state file; what DSPy would not show is left out."""
    signature = dspy.Signature("q -> a")
    demos = [
        {"q": "1", "a": "2", "secret": "x", "dspy_feedback": {}},
        {"q": "only"},
        {"q": "3", "a": "4", "augmented": True},
    ]
    found = sanitized(demos, signature)
    assert [one.toDict() for one in found] == [{"q": "1", "a": "2"}, {"q": "3", "a": "4", "augmented": True}]
    assert len(drop_repeated_sets([found, found, found[:1]])) == 2
