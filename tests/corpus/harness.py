"""Export a program of the corpus, and run it plainly and served on the same inputs and answers."""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dspy

import t0dspy
from corpus.case import CASES, SMALL, Case, Expected
from t0dspy.artifact.exported import ExportedProgram
from t0dspy.errors import T0dspyError
from t0dspy.parity.run_equality import compare_runs
from t0dspy.parity.run_report import RunReport
from t0dspy.parity.runs import Plain, bench
from t0dspy.parity.scripts import KINDS, Kind
from t0dspy.parity.served import deployed

PROGRAMS = ("annotations", "signatures", "modules", "choices", "prompts", "rich", "returns")
NAME = "program"

CONFIG = """
[object_storage]
type = "disabled"

[models.main]
routing = ["own"]

[models.main.providers.own]
type = "openai"
model_name = "own"
api_base = "http://near.example/v1/"

[models.far]
routing = ["own"]

[models.far.providers.own]
type = "openai"
model_name = "own"
api_base = "http://far.example/v1/"
"""

FEW: tuple[Kind, ...] = ("good", "prose then JSON")
"""The kinds of answers for all inputs but the first, which gets all kinds."""


@dataclass
class Result:
    """What became of a program."""

    outcome: Expected
    error: str = ""
    reports: list[RunReport] = field(default_factory=list)
    kept: Sequence[str] = ()

    @property
    def runs(self) -> int:
        return sum(report.runs for report in self.reports)

    @property
    def requests(self) -> int:
        return sum(report.requests for report in self.reports)


def all_cases() -> list[Case]:
    """Return every program, in the order of the files."""
    for name in PROGRAMS:
        importlib.import_module(f"corpus.programs.{name}")
    return list(CASES)


def examine(case: Case, configs: Path, *, everything: bool = False) -> Result:
    """Export the program of `case` below `configs`, and compare its runs.

    Args:
        case: the program.
        configs: an empty directory.
        everything: whether every input gets every kind of answer at every stage, and whether the export is verified.
    """
    (configs / "tensorzero.toml").write_text(CONFIG, encoding="utf-8")
    with settings_of(case):
        program = case.make()
        try:
            t0dspy.export(program, configs, name=NAME, verify=everything, **case.options)
        except T0dspyError as error:
            return Result("refused at export", str(error))
        exported = ExportedProgram.read(configs, NAME)
        kept = [path for path, entry in exported.version("v1").predictors.items() if entry.kept]
        result = Result("kept" if kept else "identical", kept=kept)
        with bench(program) as runs, deployed(program, exported, "v1", runs.upstream_url) as served:
            for number, inputs in enumerate(case.inputs):
                kinds = KINDS if everything or not number else FEW
                report = compare_runs(runs, Plain(), served, [inputs], kinds, stages=everything)
                result.reports.append(report)
    refusals = [refusal for report in result.reports for refusal in report.refusals]
    if refusals:
        result.outcome, result.error = "refused at the call", refusals[0]
    return result


@contextmanager
def settings_of(case: Case) -> Iterator[None]:
    """Set DSPy's settings for a program of the corpus."""
    defaults: Mapping[str, Any] = {"lm": dspy.LM(SMALL, temperature=0.3, max_tokens=500), "adapter": None, "rm": None}
    with dspy.context(**{**defaults, **case.settings()}):
        yield
