"""Wire equality over the golden corpus: what DSPy sends is what the real gateway sends, byte for byte."""

from collections import Counter
from pathlib import Path
from typing import Any

import dspy
import pytest

from support.corpus import Case, each_case
from t0dspy import parity
from t0dspy.artifact.exported import ExportedProgram

INPUTS = 200
"""Fuzzed inputs for each program in each form, shared out among its predictors; each field's extremes come on top."""

LEAST = 50
"""Fuzzed inputs for each predictor at least."""


@pytest.mark.parametrize("case", each_case())
def test_dspy_and_the_gateway_send_the_same(case: Case, tmp_path: Path, record_property: Any) -> None:
    """Every predictor of every program is wire-equal on at least 200 fuzzed inputs, and reads answers the same."""
    case.export(tmp_path)
    exported = ExportedProgram.read(tmp_path, case.name)
    predictors = len(exported.version("v1").predictors)
    inputs = max(LEAST, -(-INPUTS // predictors))
    with dspy.context(lm=dspy.LM("openai/gpt-4o-mini")):
        report = parity.compare(case.program(), exported, "v1", inputs=inputs)
    skipped = sum((one.skipped for one in report.predictors), Counter[str]())
    counts = {"requests": report.requests, "answers": sum(one.answers for one in report.predictors)}
    record_property("parity", {**counts, "predictors": predictors, "skipped": dict(skipped)})
    assert report.equal, parity.explain(report, case.id)
    assert all(one.answers for one in report.predictors)
    assert report.requests >= INPUTS
    assert not [reason for reason in skipped if reason.startswith("generated")]
