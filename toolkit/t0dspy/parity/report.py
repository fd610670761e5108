"""What a verification found."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from t0dspy.errors import shown

DEMO_TURNS = "it sends demos as chat turns, not in the system message"
CUSTOM_TYPE_MARKER = "it makes a content part of text that looks like its custom-type marker"
KEY_ORDER = "it keeps the order of keys in free-form objects, which the gateway sorts"
"""How stock DSPy's messages can differ from those of an export."""

SHOWN = 400
"""Characters of an input that a message shows."""


@dataclass(frozen=True)
class Mismatch:
    """One input or answer that is not treated the same on both sides."""

    kind: str
    """`request`: other bytes reach the provider. `refused`: the gateway takes no such input. `answer`: it is read
    differently."""
    arguments: dict[str, Any]
    detail: str
    """Both sides as a diff, or what was refused."""


@dataclass
class PredictorReport:
    """What was compared for one predictor."""

    path: str
    function: str
    requests: int = 0
    """Pairs of request bodies that were compared."""
    answers: int = 0
    """Answers that were read on both sides."""
    mismatches: list[Mismatch] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    """Reason -> inputs that could not be compared."""
    unlike_stock: Counter[str] = field(default_factory=Counter)
    """Reason -> inputs whose messages stock DSPy would have written differently."""


@dataclass(frozen=True)
class ParityReport:
    """Wire equality of one version."""

    version: str
    predictors: Sequence[PredictorReport]

    @property
    def equal(self) -> bool:
        """Whether nothing differed, and something was compared."""
        return all(one.requests and not one.mismatches for one in self.predictors)

    @property
    def requests(self) -> int:
        """Pairs of request bodies compared, over all predictors."""
        return sum(one.requests for one in self.predictors)

    @property
    def mismatches(self) -> list[tuple[PredictorReport, Mismatch]]:
        """Every mismatch, with the predictor it was found at."""
        return [(one, mismatch) for one in self.predictors for mismatch in one.mismatches]

    def as_json(self) -> dict[str, Any]:
        """The report for programs: counts, mismatches, and what was skipped and why."""
        return {
            "version": self.version,
            "equal": self.equal,
            "requests": self.requests,
            "answers": sum(one.answers for one in self.predictors),
            "predictors": [_as_json(one) for one in self.predictors],
        }


def _as_json(one: PredictorReport) -> dict[str, Any]:
    return {
        "predictor": one.path,
        "function": one.function,
        "requests": one.requests,
        "answers": one.answers,
        "mismatches": [
            {"kind": found.kind, "arguments": found.arguments, "detail": found.detail} for found in one.mismatches
        ],
        "skipped": dict(one.skipped),
        "unlike_stock": dict(one.unlike_stock),
    }


def explain(report: ParityReport, what: str) -> str:
    """The first mismatch of each predictor as a message: which input, and both texts as a diff."""
    parts = [f"{what}: the gateway would not send what DSPy sends."]
    for one in report.predictors:
        if one.mismatches:
            found = one.mismatches[0]
            counted = f"{shown(one.path)}: {len(one.mismatches)} of {one.requests} inputs differ; the first one"
            parts.append(f"{counted} ({found.kind}), {_short(found.arguments)}\n{found.detail}")
        elif not one.requests:
            reasons = "; ".join(f"{reason} ({count})" for reason, count in one.skipped.items())
            parts.append(f"{shown(one.path)}: not one input could be compared: {reasons}")
    return "\n".join(parts)


def _short(arguments: dict[str, Any]) -> str:
    text = json.dumps(arguments, ensure_ascii=False)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text)} characters)"
