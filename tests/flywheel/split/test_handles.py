"""Handles of examples are the same in every version of t0dspy."""

from t0dspy.flywheel.example import PulledExample
from t0dspy.flywheel.split.handles import handles
from t0dspy.model import digest


# The file.
def test_handles_never_change() -> None:
    """State files and lineages of earlier versions of t0dspy hold: the same example has the same handles."""
    one = PulledExample(
        {"a": "hello  wörld " * 2000, "b": [1, 2], "c": 3.0, "d": None}, None, None, episode_id="0199-abc"
    )
    assert digest("\n".join(handles(one).all))[:16] == "be30cfe1c89cf5e1"
