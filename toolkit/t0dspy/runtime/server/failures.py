"""Describe the failure of a model provider in a sentence for the caller."""

import json

from dspy.utils.exceptions import (
    ContextWindowExceededError,
    LMAuthError,
    LMBillingError,
    LMError,
    LMRateLimitError,
    LMTimeoutError,
    LMTransportError,
)

_KINDS: dict[type[LMError], str] = {
    ContextWindowExceededError: "the prompt is too long for the model",
    LMAuthError: "the provider rejected the API key",
    LMBillingError: "the provider refused the call because of its billing",
    LMRateLimitError: "the provider limits the rate of calls",
    LMTimeoutError: "the provider did not answer in time",
    LMTransportError: "the provider could not be reached",
}

_LIMIT = 500
"""The maximum number of characters of the provider's message."""


def provider_failure(error: LMError, program: str) -> str:
    """Return a sentence with the kind of the failure and the provider's own words.

    Args:
        error: the exception that DSPy raised.
        program: the program and version.
    """
    kind = next((text for base, text in _KINDS.items() if isinstance(error, base)), "the provider failed")
    status = getattr(error, "status", None)
    shown = f" (HTTP {status})" if status else ""
    return f"a stage of {program} failed, because {kind}{shown}: {_words(error)}"


def _words(error: LMError) -> str:
    text = str(getattr(error, "message", "") or error).strip()
    start = text.find("{")
    try:
        value = json.loads(text[start:]) if start >= 0 else None
    except ValueError:
        value = None
    inner = value.get("error") if isinstance(value, dict) else None
    message = inner.get("message") if isinstance(inner, dict) else inner
    words = message if isinstance(message, str) and message else text.partition("\n\n")[0]
    return words.removesuffix(f" ({getattr(error, 'status', None)})")[:_LIMIT]
