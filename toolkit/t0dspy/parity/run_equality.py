"""Prove run equality: a program makes the same requests and has the same outcome in DSPy and when it is served."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from t0dspy.parity.run_report import RunMismatch, RunReport
from t0dspy.parity.runs import Bench, Inputs, Ran, Side, is_racy, same, same_requests, sends_part_of
from t0dspy.parity.scripted import Script
from t0dspy.parity.scripts import KINDS, Kind

EXPORT_KINDS: tuple[Kind, ...] = ("good", "prose then JSON", "cut", "401")
"""The kinds of answers at an export, where time matters; `verify --full` uses all."""

TRIES = 5
"""Plain runs of a program whose concurrent calls fail, where chance decides which calls are sent at all."""

Verdict = Literal["equal", "refused", "not provable", "different"]


@dataclass(frozen=True)
class Case:
    """A run: inputs, and the kind of answers that all stages get, or only one of them."""

    inputs: Inputs
    kind: Kind
    stage: int | None = None
    seed: str = ""


def compare_runs(
    runs: Bench,
    plain: Side,
    served: Side,
    inputs: Sequence[Inputs],
    kinds: Sequence[Kind] = KINDS,
    *,
    stages: bool = True,
) -> RunReport:
    """Run a program plainly and deployed, with the same inputs and scripted answers.

    Args:
        runs: the scripted provider.
        plain: how the program is run in DSPy.
        served: how it is run when the gateway answers its predictors.
        inputs: the inputs of the program.
        kinds: the kinds of answers.
        stages: whether a kind also goes to one stage at a time, so that later stages fail too.

    Returns:
        The report; its `equal` is True if nothing differed.
    """
    pair = _Pair(runs, plain, served)
    for given in inputs:
        for case in pair.cases(given, kinds, stages=stages):
            pair.compare(case)
    return pair.report


class _Pair:
    """The plain and the deployed program."""

    def __init__(self, runs: Bench, plain: Side, served: Side) -> None:
        self.runs, self.plain, self.served = runs, plain, served
        self.report = RunReport()

    def cases(self, inputs: Inputs, kinds: Sequence[Kind], *, stages: bool) -> Iterator[Case]:
        """Yield the cases of an input: each kind for all stages, then for each stage alone."""
        if stages:  # the first run shows which stages there are
            self._run(Case(inputs, "good"), self.plain)
        later = range(1, len(self.runs.questions.stages()) if stages else 0)
        for kind in kinds:
            yield Case(inputs, kind)
        for kind in kinds:
            if kind != "good":
                yield from (Case(inputs, kind, stage) for stage in later)

    def compare(self, case: Case) -> Verdict:
        """Compare the plain run of a case with the served one, and add the result to the report."""
        plain, served = self._run(case, self.plain), self._run(case, self.served)
        self.report.count(plain)
        if served.outcome.refusal is not None and (plain.unprovable or sends_part_of(served, plain)):
            return self.report.refuse(served.outcome.refusal)
        if plain.unprovable:
            return self.report.unprovable(plain.unprovable)
        plains = [plain]
        while not any(same(run, served) for run in plains) and not _explain_chance(plains, served):
            if len(plains) == (TRIES if is_racy(plain) else 2):
                return self._differing(case, plains, served)
            plains.append(self._run(case, self.plain))
        return "equal"

    def _differing(self, case: Case, plains: Sequence[Ran], served: Ran) -> Verdict:
        if not is_racy(plains[0]) and not same(*plains[:2]):
            return self.report.unprovable("two plain runs differ")
        return self.report.differ(_mismatch(case, plains[0], served))

    def _run(self, case: Case, side: Side) -> Ran:
        return self.runs.run(Script(self.runs.questions, case.kind, case.stage, case.seed), case.inputs, side)


def _explain_chance(plains: Sequence[Ran], served: Ran) -> bool:
    """Return whether each request and the outcome of a racy run occur in plain runs, which chance cut elsewhere."""
    if not is_racy(served) or not all(map(is_racy, plains)):
        return False
    known = {request for run in plains for request in run.requests}
    return known.issuperset(served.requests) and served.outcome.text in {run.outcome.text for run in plains}


def _mismatch(case: Case, plain: Ran, served: Ran) -> RunMismatch:
    stage = "" if case.stage is None else f" at stage {case.stage + 1}"
    label = f"{case.kind}{stage}"
    if not same_requests(plain, served):
        return RunMismatch("requests", dict(case.inputs), label, plain.requests, served.requests)
    if plain.outcome.text == served.outcome.text:
        return RunMismatch("answers", dict(case.inputs), label, plain.answers, served.answers)
    return RunMismatch("outcome", dict(case.inputs), label, (plain.outcome.text,), (served.outcome.text,))
