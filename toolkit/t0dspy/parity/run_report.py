"""The report on run equality."""

import difflib
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

from t0dspy.parity.runs import Ran

SHOWN = 400
"""The maximum number of characters of inputs in a message."""


@dataclass(frozen=True)
class RunMismatch:
    """A run whose requests or outcome differ."""

    part: Literal["requests", "answers", "outcome"]
    inputs: dict[str, Any]
    answers: str
    """The kind of the scripted answers."""
    plain: tuple[str, ...]
    served: tuple[str, ...]

    @property
    def detail(self) -> str:
        """Return what differs as a unified diff."""
        left, right = _lines(self.plain), _lines(self.served)
        return "\n".join(difflib.unified_diff(left, right, "DSPy directly", "served", lineterm="", n=2))


@dataclass
class RunReport:
    """The compared runs of a program."""

    runs: int = 0
    requests: int = 0
    mismatches: list[RunMismatch] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    """The named errors with which served runs ended before anything else was sent, and how often."""
    not_provable: Counter[str] = field(default_factory=Counter)
    """Why runs could not be compared, and how often."""
    skipped: str | None = None
    """Why no runs were made."""

    @property
    def equal(self) -> bool:
        """Return whether every compared run made the same requests and had the same outcome."""
        return not self.mismatches and not self.refusals

    def plus(self, other: "RunReport") -> "RunReport":
        """Return the sum of two reports."""
        return RunReport(
            self.runs + other.runs,
            self.requests + other.requests,
            [*self.mismatches, *other.mismatches],
            self.refusals + other.refusals,
            self.not_provable + other.not_provable,
            self.skipped or other.skipped,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON."""
        mismatches = [
            {"part": each.part, "inputs": json.loads(json.dumps(each.inputs, default=repr)), "answers": each.answers}
            for each in self.mismatches
        ]
        return {
            "equal": self.equal,
            "runs": self.runs,
            "requests": self.requests,
            "mismatches": mismatches,
            "refused": dict(self.refusals),
            "not_provable": dict(self.not_provable),
            "skipped": self.skipped,
        }

    def count(self, plain: Ran) -> None:
        """Count a compared run."""
        self.runs += 1
        self.requests += len(plain.requests)

    def unprovable(self, reason: str) -> Literal["not provable"]:
        """Add a run that could not be compared."""
        self.not_provable[reason] += 1
        return "not provable"

    def refuse(self, reason: str) -> Literal["refused"]:
        """Add a run that the served program refused by name."""
        self.refusals[reason] += 1
        return "refused"

    def differ(self, mismatch: RunMismatch) -> Literal["different"]:
        """Add a run that differs."""
        self.mismatches.append(mismatch)
        return "different"


def explain_runs(report: RunReport, subject: str) -> str:
    """Return a message with the first difference: the inputs, the kind of answers, and both sides as a diff."""
    if report.mismatches:
        mismatch = report.mismatches[0]
        return (
            f"{subject}: {len(report.mismatches)} of {report.runs} runs differ from DSPy's. The first one differs in "
            f"its {mismatch.part}, with the answers {mismatch.answers!r} and {_short(mismatch.inputs)}\n"
            f"{mismatch.detail}"
        )
    reason, count = report.refusals.most_common(1)[0]
    return f"{subject}: {count} of {report.runs} runs cannot be served: {reason}"


def _short(inputs: dict[str, Any]) -> str:
    text = json.dumps(inputs, ensure_ascii=False, default=repr)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text)} characters)"


def _lines(texts: tuple[str, ...]) -> list[str]:
    return [line for text in texts for part in text.split("\n") for line in part.replace("\\n", "\n").split("\n")]
