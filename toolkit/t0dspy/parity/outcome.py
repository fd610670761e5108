"""The outcome of a program's run as text, so that two outcomes can be compared."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dspy
import pydantic

from t0dspy.errors import T0dspyError

_ADDRESS = re.compile(r"\bat 0x[0-9a-f]+")
_URL = re.compile(r"https?://(?:127\.0\.0\.1|localhost):\d+[^\s'\"]*")


@dataclass(frozen=True)
class Outcome:
    """What a run returned or raised."""

    text: str
    """The value, or class and message of the exception."""
    refusal: str | None = None
    """The message of t0dspy's own error, if that is how the run ended."""
    failed: bool = False
    """Whether the run raised an exception."""


def returned(value: Any) -> Outcome:
    """Return the outcome of a run that returned `value`."""
    return Outcome(printed(value))


def raised(error: BaseException) -> Outcome:
    """Return the outcome of a run that raised `error`."""
    own = next((cause for cause in _causes(error) if isinstance(cause, T0dspyError)), None)
    text = f"{type(error).__name__}: {_URL.sub('URL', str(error))}"
    return Outcome(text, str(own) if own is not None else None, failed=True)


def printed(value: Any) -> str:
    """Return `value` as text that is equal for equal values; Predictions, models and containers are printed in full."""
    if isinstance(value, dspy.Prediction):
        return _prediction(value)
    if isinstance(value, pydantic.BaseModel):
        return f"{type(value).__name__}({_items(dict(value))})"
    if isinstance(value, Mapping):
        return f"{type(value).__name__}{{{_items(value)}}}"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__}[{', '.join(map(printed, value))}]"
    if isinstance(value, set | frozenset):
        return f"{type(value).__name__}[{', '.join(sorted(map(printed, value)))}]"
    if _shows_no_content(value):
        return f"{type(value).__name__}({_items(vars(value)) if hasattr(value, '__dict__') else ''})"
    return _ADDRESS.sub("", repr(value))


def _shows_no_content(value: Any) -> bool:
    own: Any = type(value).__repr__
    return own is object.__repr__


def _prediction(value: dspy.Prediction) -> str:
    completions = getattr(value, "completions", None)
    several = f", completions={printed(completions.items())}" if completions and len(completions) > 1 else ""
    return f"{type(value).__name__}({_items(dict(value.items()))}{several})"


def _items(items: Mapping[Any, Any]) -> str:
    return ", ".join(f"{key!r}: {printed(value)}" for key, value in items.items())


def _causes(error: BaseException | None) -> list[BaseException]:
    causes: list[BaseException] = []
    while error is not None and error not in causes:
        causes.append(error)
        error = error.__cause__ or error.__context__
    return causes
