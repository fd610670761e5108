"""Every program of the corpus is identical when it is served, kept, or refused by name; none differs silently."""

import warnings
from pathlib import Path
from typing import Any

import pytest

from corpus.case import Case
from corpus.harness import all_cases, examine
from t0dspy.parity.run_report import explain_runs


@pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.name)
def test_a_program_is_served_as_dspy_runs_it(case: Case, tmp_path: Path, record_property: Any, request: Any) -> None:
    """Requests and outcomes equal those of plain DSPy, unless the program is refused by name before it is sent."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # DSPy warns about inputs and answers that are bad on purpose
        result = examine(case, tmp_path, everything=request.config.getoption("--every-run"))
    for report in result.reports:
        assert not report.mismatches, explain_runs(report, case.name)
    unprovable = [report.not_provable for report in result.reports if report.not_provable]
    assert case.unprovable is None or bool(unprovable) == case.unprovable, unprovable
    assert result.outcome == case.expected, result.error
    assert case.because in result.error
    record_property("corpus", {"outcome": result.outcome, "runs": result.runs, "requests": result.requests})
