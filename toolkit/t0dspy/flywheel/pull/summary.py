"""Count what became of the rows of a pull."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

REASONS = {
    "pinned": "pinned by its caller",
    "internal": "internal",
    "evaluation": "of an evaluation",
    "test": "a test (tag t0dspy::test)",
    "fallback": "answered by a fallback",
    "unread_answer": "the answer does not parse",
    "unread_demonstration": "the demonstration does not parse",
    "misfit": "the input does not fit the contract",
    "stage_unread_answer": "a stage whose answer does not parse",
    "stage_unread_demonstration": "a stage whose demonstration does not parse",
    "stage_misfit": "a stage that does not fit its predictor's contract now",
    "stage_kept": "a call of a predictor that is kept in Python",
    "stage_gone": "a stage of a predictor that is gone",
    "stage_alone": "a stage without a program's inference: of a failed run, or called directly",
    "stage_cached": "a cached run, whose stages count once",
}
"""Reason -> its description."""


@dataclass
class Summary:
    """Counts of what became of the rows; complete when the pull was read to its end."""

    program: str
    since: str
    """RFC 3339."""
    until: str
    rows_read: int = 0
    """Inferences that were read from ClickHouse, including stages."""
    examples: int = 0
    stages: int = 0
    drops: Counter[str] = field(default_factory=Counter)
    """Reason -> how many rows were left out for it; see `REASONS`."""
    seconds: float = 0.0
    complete: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the object that `--json` prints."""
        return {
            "program": self.program,
            "since": self.since,
            "until": self.until,
            "rows_read": self.rows_read,
            "examples": self.examples,
            "stages": self.stages,
            "drops": dict(sorted(self.drops.items())),
            "seconds": round(self.seconds, 3),
        }

    def lines(self) -> list[str]:
        """Return the lines for a person to read."""
        stages = f" with {self.stages:,} stages" if self.stages else ""
        head = (
            f"{self.program}: {self.examples:,} examples{stages}, from {self.rows_read:,} rows in {self.seconds:.1f} s"
        )
        left_out = [
            f"  left out {number:>7,}  {REASONS.get(reason, reason)}" for reason, number in sorted(self.drops.items())
        ]
        return [head, f"  window            {self.since} to {self.until}", *left_out]
