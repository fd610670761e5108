"""Tell the LMs of a version apart, by what decides which model answers: DSPy's name of it, its type and its address."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

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
    """Its own address, without user name, password, query and final slash; None if it has none."""

    @classmethod
    def of(cls, model: str, options: Mapping[str, Any]) -> Self:
        """Return the identity of an LM with the name `model` and the `options` of `dspy.LM`."""
        address = next((options[key] for key in ADDRESS_KEYS if options.get(key)), None)
        return cls(model, str(options.get("model_type") or "chat"), _public(str(address)) if address else None)

    @property
    def label(self) -> str:
        """Return the text that names it in `--model` and in settings: `openai/local@http://localhost:8000/v1`."""
        return self.model + (f"@{self.address}" if self.address else "")

    def __str__(self) -> str:
        return repr(self.model) + (f" at {self.address}" if self.address else "")


def identity_of(lm: Any) -> LmIdentity:
    """Return the identity of a live `dspy.LM`."""
    options = getattr(lm, "kwargs", None) or {}
    return LmIdentity.of(str(getattr(lm, "model", "")), {**options, "model_type": getattr(lm, "model_type", "chat")})


def find_lm(lms: Mapping[str, LmEntry], lm: Any) -> str | None:
    """Return the name in `lms` of the LM that a live `dspy.LM` is, or is a copy of; None if it is not there."""
    identity = identity_of(lm)
    return next((name for name, entry in lms.items() if entry_identity(entry) == identity), None)


def entry_identity(entry: LmEntry) -> LmIdentity:
    """Return the identity of an LM in a manifest."""
    return LmIdentity.of(entry.lm, {"model_type": entry.type, "api_base": entry.address})


def _public(address: str) -> str:
    """Return an address without the parts that may hold secrets."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return address.rpartition("@")[2].partition("?")[0].rstrip("/")
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl().rstrip("/")
