"""The kind of a program's failure, read out of TensorZero's error text."""

import json

import pytest

from t0dspy.errors import AnswerNotParsedError, ProgramRunError
from t0dspy.gateway.program_failures import program_failure

LEAD = "All model providers failed to infer with errors: programs: Error from openai server: "


def said(type: str, code: int, message: str = "m") -> str:
    return json.dumps({"error": {"message": message, "type": type, "code": code}}, separators=(",", ":"))


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (LEAD + said("stage_not_parsed", 502), AnswerNotParsedError),
        (LEAD + said("KeyError", 500), ProgramRunError),
        (LEAD + said("ProgramError", 500), ProgramRunError),
        (LEAD + said("stage_failed", 502), None),
        (LEAD + said("run_stopped", 504), None),
        (LEAD + said("busy", 503), None),
        (LEAD + said("unauthorized", 401), None),
        (LEAD + said("stage_failed", 502, LEAD + said("stage_not_parsed", 502)), None),
        (LEAD + said("stage_not_parsed", 502, LEAD + said("stage_failed", 502)), AnswerNotParsedError),
        (f"All variants failed with errors: v1: {LEAD}{said('stage_not_parsed', 502)}", AnswerNotParsedError),
        (f"v1: {LEAD}{said('stage_not_parsed', 502)}, v2: {LEAD}{said('stage_failed', 502)}", None),
        (f"v1: {LEAD}{said('stage_not_parsed', 502)}, v2: {LEAD}{said('stage_not_parsed', 502)}", AnswerNotParsedError),
        (LEAD + "Error parsing JSON response: expected value", None),
        (LEAD + '"stage_not_parsed"', None),
        (LEAD + '{"error": "stage_not_parsed"}', None),
        ("p: Error from openai server: " + said("stage_not_parsed", 502), None),
        ("stage_not_parsed", None),
        ("", None),
    ],
)
def test_kinds(reason: str, kind: type[Exception] | None) -> None:
    """Only an object of the program server at the top level decides; text that quotes such an object does not."""
    found = program_failure(reason, 502)
    assert type(found) is (kind or type(None))
    if found:
        assert str(found).startswith("the gateway answered 502: ")
