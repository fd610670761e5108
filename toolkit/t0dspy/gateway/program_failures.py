"""Extract failures of served programs from the gateway's error.

TensorZero 2026.6.0 reports each failure of a model provider as text, and the program server is a model provider. The
text contains the server's error object verbatim, whose `type` and `code` identify the kind of failure.
"""

import json
from collections.abc import Mapping
from typing import Any

from t0dspy.errors import AnswerNotParsedError, GatewayError, ProgramRunError

NOT_PARSED = "stage_not_parsed"
"""The `type` of a run that failed because a model's answer did not contain the fields of its stage."""

_OBJECT_FOLLOWS = "programs: Error from openai server: "
"""`programs` is the provider's name in every exported `program.toml`."""


def program_failure(reason: str, status: int) -> GatewayError | None:
    """Return the typed error of a program's run; None if `reason` is of another kind, such as an outage.

    Args:
        reason: the text of the gateway's error.
        status: the HTTP status of the gateway's answer.
    """
    # Workaround (tensorzero 2026.6): the gateway reports the failure of a provider as text; remove when its answer has
    # the provider's error object.
    objects = _error_objects(reason)
    kinds = {_kind(error) for error in objects}
    if len(kinds) != 1 or None in kinds:  # several variants failed in different ways
        return None
    kind, message = kinds.pop(), str(objects[0].get("message", ""))
    return kind(f"the gateway answered {status}: {message}") if kind else None


def _kind(error: Mapping[str, Any]) -> type[GatewayError] | None:
    if error.get("type") == NOT_PARSED:
        return AnswerNotParsedError
    return ProgramRunError if error.get("code") == 500 else None


def _error_objects(reason: str) -> list[dict[str, Any]]:
    """Return the error objects at the top level of `reason`; objects that a message quotes are escaped."""
    decoder, errors, start = json.JSONDecoder(), list[dict[str, Any]](), 0
    while (start := reason.find(_OBJECT_FOLLOWS, start)) >= 0:
        start += len(_OBJECT_FOLLOWS)
        try:
            value, start = decoder.raw_decode(reason, start)
        except ValueError:
            value = None
        error = value.get("error") if isinstance(value, dict) else None
        errors.append(error if isinstance(error, dict) else {})
    return errors
