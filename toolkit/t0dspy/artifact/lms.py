"""Tell the LMs of a version apart, by what decides which model answers: DSPy's name of it, its type and its address."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from t0dspy.model import LmEntry

ADDRESS_KEYS = ("api_base", "base_url")
"""Options of `dspy.LM` that hold its address; DSPy prefers the first."""


@dataclass(frozen=True)
class LmIdentity:
    """What decides which model answers for an LM. Copies of an LM with other sampling settings are equal."""

    model: str
    """DSPy's name, such as `openai/gpt-4o-mini`."""
    type: str = "chat"
    """DSPy's `model_type`."""
    address: str | None = None
    """Its own address, without a slash at the end; None if it has none."""

    def __str__(self) -> str:
        return repr(self.model) + (f" at {self.address}" if self.address else "")


def identity_of(lm: Any) -> LmIdentity:
    """Return the identity of a live `dspy.LM`."""
    options = getattr(lm, "kwargs", None) or {}
    address = next((options[key] for key in ADDRESS_KEYS if options.get(key)), None)
    return LmIdentity(
        str(getattr(lm, "model", "")),
        str(getattr(lm, "model_type", "chat")),
        None if address is None else str(address).rstrip("/"),
    )


def find_lm(lms: Mapping[str, LmEntry], lm: Any) -> str | None:
    """Return the name in `lms` of the LM that a live `dspy.LM` is, or is a copy of; None if it is not there."""
    identity = identity_of(lm)
    return next(
        (
            name
            for name, entry in lms.items()
            if LmIdentity(entry.lm, entry.type, entry.address and entry.address.rstrip("/")) == identity
        ),
        None,
    )
