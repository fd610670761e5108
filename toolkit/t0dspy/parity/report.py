"""The report of a verification."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dspy.adapters.utils import serialize_for_json

from t0dspy.errors import shown

DEMO_TURNS = "it sends demos as chat turns, not in the system message"
"""How stock DSPy's messages can differ from those of an export."""

JSON_FALLBACK = "the second call, as JSON, after an answer that DSPy cannot parse"
KEY_ORDER = "the order of keys in free-form objects, which the gateway sorts"
RESPONSE_FORMAT = "DSPy's own response_format; the gateway writes another one for the same fields"
"""What clients other than our runtime may not get from a function that needs no Python."""

SHOWN = 400
"""The maximum number of characters of an input in a message."""


@dataclass(frozen=True)
class Mismatch:
    """An input or answer for which DSPy and the gateway differ."""

    kind: str
    """`request`: the provider would receive another request. `refused`: the served call ends before it sends anything.
    `plain request`: a client without our runtime would send another prompt. `answer`: the outcome is different."""
    arguments: dict[str, Any]
    detail: str
    """Both texts as a diff, or the error."""


@dataclass
class PredictorReport:
    """The counts and mismatches of a predictor."""

    path: str
    function: str
    requests: int = 0
    """The number of compared pairs of request bodies."""
    plain_requests: int = 0
    """The number of compared requests of clients without our runtime."""
    answers: int = 0
    """The number of answers that were replayed on both sides."""
    mismatches: list[Mismatch] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    """Reason -> number of inputs that could not be compared."""
    unlike_stock: Counter[str] = field(default_factory=Counter)
    """Reason why stock DSPy would write other messages -> 1."""
    unlike_plain: Counter[str] = field(default_factory=Counter)
    """What clients without our runtime do not get -> number of inputs for which it matters."""


@dataclass(frozen=True)
class ParityReport:
    """The report on the wire equality of a version."""

    version: str
    predictors: Sequence[PredictorReport]

    @property
    def equal(self) -> bool:
        """Whether no mismatch was found and each predictor had at least one comparison."""
        return all(predictor.requests and not predictor.mismatches for predictor in self.predictors)

    @property
    def requests(self) -> int:
        """The number of compared pairs of request bodies of all predictors."""
        return sum(predictor.requests for predictor in self.predictors)

    @property
    def mismatches(self) -> list[tuple[PredictorReport, Mismatch]]:
        """Every mismatch, with the report of its predictor."""
        return [(predictor, mismatch) for predictor in self.predictors for mismatch in predictor.mismatches]

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON: counts, mismatches, and skipped inputs with reasons."""
        return {
            "version": self.version,
            "equal": self.equal,
            "requests": self.requests,
            "answers": sum(predictor.answers for predictor in self.predictors),
            "predictors": [_as_json(predictor) for predictor in self.predictors],
        }


def _as_json(predictor: PredictorReport) -> dict[str, Any]:
    return {
        "predictor": predictor.path,
        "function": predictor.function,
        "requests": predictor.requests,
        "answers": predictor.answers,
        "mismatches": [
            {"kind": mismatch.kind, "arguments": as_json(mismatch.arguments), "detail": mismatch.detail}
            for mismatch in predictor.mismatches
        ],
        "skipped": dict(predictor.skipped),
        "unlike_stock": dict(predictor.unlike_stock),
        "plain_requests": predictor.plain_requests,
        "unlike_plain": dict(predictor.unlike_plain),
    }


def explain(report: ParityReport, subject: str) -> str:
    """Return a message with the first mismatch of each predictor: the input, and both texts as a diff."""
    parts = [f"{subject}: the gateway would not send what DSPy sends."]
    for predictor in report.predictors:
        if predictor.mismatches:
            mismatch = predictor.mismatches[0]
            differing = (
                f"{len(predictor.mismatches)} of {predictor.requests} inputs differ; the first one ({mismatch.kind})"
            )
            parts.append(f"{shown(predictor.path)}: {differing}, {_short(mismatch.arguments)}\n{mismatch.detail}")
        elif not predictor.requests:
            reasons = "; ".join(f"{reason} ({count})" for reason, count in predictor.skipped.items())
            parts.append(f"{shown(predictor.path)}: no input could be compared: {reasons}")
    return "\n".join(parts)


def as_json(arguments: dict[str, Any]) -> Any:
    """Return `arguments`, any Python values, as JSON; what has no JSON form as text."""
    return json.loads(json.dumps(serialize_for_json(arguments), ensure_ascii=False, default=repr))


def _short(arguments: dict[str, Any]) -> str:
    text = json.dumps(as_json(arguments), ensure_ascii=False)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text)} characters)"
