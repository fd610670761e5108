"""Prove run equality: a program makes the same requests and has the same outcome in DSPy and when it is served."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import dspy

from t0dspy.parity.run_report import RunMismatch, RunReport
from t0dspy.parity.runs import Bench, Inputs, Ran, Serve, bench, same, same_requests, sends_part_of
from t0dspy.parity.scripted import Script
from t0dspy.parity.scripts import KINDS, Kind

EXPORT_KINDS: tuple[Kind, ...] = ("good", "prose then JSON", "cut", "401")
"""The kinds of answers at an export, where time matters; `verify --full` uses all."""

Verdict = Literal["equal", "refused", "not provable", "different"]


@dataclass(frozen=True)
class Case:
    """A run: inputs, and the kind of answers that all stages get, or only one of them."""

    inputs: Inputs
    kind: Kind
    stage: int | None = None
    seed: str = ""


def compare_runs(
    program: dspy.Module, serve: Serve, inputs: Sequence[Inputs], kinds: Sequence[Kind] = KINDS, *, stages: bool = True
) -> RunReport:
    """Run `program` plainly and as `serve` makes it, with the same inputs and scripted answers.

    Args:
        program: the live program; every run gets a copy.
        serve: returns a copy of the program whose predictors the gateway answers.
        inputs: the inputs of the program.
        kinds: the kinds of answers.
        stages: whether a kind also goes to one stage at a time, so that later stages fail too.

    Returns:
        The report; its `equal` is True if nothing differed.
    """
    report = RunReport()
    with bench(program) as runs:
        for given in inputs:
            for case in cases(runs, given, kinds, stages=stages):
                compare_run(runs, serve, case, report)
    return report


def cases(runs: Bench, inputs: Inputs, kinds: Sequence[Kind], *, stages: bool) -> Iterator[Case]:
    """Yield the cases of an input: each kind for all stages, then for each stage alone."""
    if stages:  # the first run shows which stages there are
        runs.run(Script(runs.questions, "good"), inputs)
    later = range(1, len(runs.questions.stages()) if stages else 0)
    for kind in kinds:
        yield Case(inputs, kind)
    for kind in kinds:
        if kind != "good":
            yield from (Case(inputs, kind, stage) for stage in later)


def compare_run(runs: Bench, serve: Serve, case: Case, report: RunReport) -> Verdict:
    """Compare the plain run of a case with the served one, and add the result to `report`."""
    script = Script(runs.questions, case.kind, case.stage, case.seed)
    plain = runs.run(script, case.inputs)
    if plain.unprovable:
        return report.unprovable(plain.unprovable)
    served = runs.run(script, case.inputs, serve)
    report.count(plain)
    if same(plain, served):
        return "equal"
    if served.outcome.refusal is not None and sends_part_of(served, plain):
        return report.refuse(served.outcome.refusal)
    again = runs.run(script, case.inputs)
    if not same(plain, again):
        return report.unprovable("two plain runs differ")
    return report.differ(_mismatch(case, plain, served))


def _mismatch(case: Case, plain: Ran, served: Ran) -> RunMismatch:
    stage = "" if case.stage is None else f" at stage {case.stage + 1}"
    label = f"{case.kind}{stage}"
    if not same_requests(plain, served):
        return RunMismatch("requests", dict(case.inputs), label, plain.requests, served.requests)
    return RunMismatch("outcome", dict(case.inputs), label, (plain.outcome.text,), (served.outcome.text,))
