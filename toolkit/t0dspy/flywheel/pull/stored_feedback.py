"""Read the feedback of an inference from a stored row, by rater."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from t0dspy.flywheel.example import Feedback
from t0dspy.flywheel.pull.reader import Fields
from t0dspy.flywheel.pull.window import timestamp_of

_TRUTHS = {"true": True, "false": False}
_TEXTS = ("comment", "demonstration")


class StoredFeedback:
    """All feedback on one inference."""

    def __init__(self, stored: str, caller: str | None, demonstration: Callable[[str, str], Fields | None]) -> None:
        """Read the feedback of a row.

        Args:
            stored: the JSON that `part_feedback.sql` makes; empty if there is no feedback.
            caller: the user of the inference, who is the rater of feedback without a rater of its own; None if unknown.
            demonstration: reads a stored demonstration and the names of its fields that nobody gave; None if it cannot.
        """
        rows = sorted(json.loads(stored), key=_by_id) if stored else []
        latest: dict[Any, Feedback] = {}
        self.unread = 0
        """The number of demonstrations that cannot be read."""
        for name, rater, text, filled, id in rows:
            value = text if name == "comment" else demonstration(text, filled) if name in _TEXTS else _number(text)
            if value is None:
                self.unread += 1
                continue
            feedback = Feedback(name, value, rater or caller, id, timestamp_of(id))
            key = id if name == "comment" else (name, feedback.rater)
            latest.pop(key, None)  # insert at the end, so that the order is by time
            latest[key] = feedback
        self.feedback: Sequence[Feedback] = tuple(latest.values())

    @property
    def metrics(self) -> Mapping[str, bool | float]:
        """Return metric -> its latest value, by any rater."""
        latest = {feedback.metric: feedback.value for feedback in self.feedback if feedback.metric not in _TEXTS}
        return {name: latest[name] for name in sorted(latest)}

    @property
    def comments(self) -> Sequence[str]:
        """Return all comments, oldest first."""
        return [feedback.value for feedback in self.feedback if feedback.metric == "comment"] or ()

    @property
    def demonstration(self) -> Fields | None:
        """Return the latest demonstration that can be read; None without one."""
        return next(
            (feedback.value for feedback in reversed(self.feedback) if feedback.metric == "demonstration"), None
        )


def _by_id(row: Sequence[str]) -> str:
    """Return the id to sort by: the text of a UUIDv7 sorts by time, and within a millisecond like its number."""
    return row[4]


def _number(text: str) -> bool | float:
    return _TRUTHS[text] if text in _TRUTHS else float(text)
