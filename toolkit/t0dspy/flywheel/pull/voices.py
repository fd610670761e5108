"""What people said of an inference, by rater: from a stored row to values."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from t0dspy.flywheel.example import Said
from t0dspy.flywheel.pull.reader import Fields
from t0dspy.flywheel.pull.window import timestamp_of

_TRUTHS = {"true": True, "false": False}
_TEXTS = ("comment", "demonstration")


class Voices:
    """Everything that people said of one inference."""

    def __init__(self, stored: str, caller: str | None, demonstration: Callable[[str, str], Fields | None]) -> None:
        """Read what a row holds.

        Args:
            stored: the JSON that `feedback.sql` makes; empty where nobody said anything.
            caller: whose inference it was, who is the rater of feedback without a rater of its own; None if unknown.
            demonstration: reads a stored demonstration, given the fields of it that nobody gave; None if it cannot.
        """
        rows = sorted(json.loads(stored), key=_by_id) if stored else []
        latest: dict[Any, Said] = {}
        self.unread = 0
        """Demonstrations that cannot be read."""
        for name, rater, text, filled, id in rows:
            value = text if name == "comment" else demonstration(text, filled) if name in _TEXTS else _number(text)
            if value is None:
                self.unread += 1
                continue
            said = Said(name, value, rater or caller, id, timestamp_of(id))
            key = id if name == "comment" else (name, said.rater)
            latest.pop(key, None)  # so that the order stays that of time
            latest[key] = said
        self.feedback: Sequence[Said] = tuple(latest.values())

    @property
    def metrics(self) -> Mapping[str, bool | float]:
        """The latest value of every metric, whoever gave it."""
        latest = {one.metric: one.value for one in self.feedback if one.metric not in _TEXTS}
        return {name: latest[name] for name in sorted(latest)}

    @property
    def comments(self) -> Sequence[str]:
        """All comments, oldest first."""
        return [one.value for one in self.feedback if one.metric == "comment"] or ()

    @property
    def demonstration(self) -> Fields | None:
        """The latest demonstration that can be read; None without one."""
        return next((one.value for one in reversed(self.feedback) if one.metric == "demonstration"), None)


def _by_id(row: Sequence[str]) -> str:
    """A UUIDv7 as text sorts by time, and within a millisecond as its number does."""
    return row[4]


def _number(text: str) -> bool | float:
    return _TRUTHS[text] if text in _TRUTHS else float(text)
