"""Run incumbent and challenger on the holdout, in the same prompt form and with the same model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dspy

from t0dspy.flywheel.metrics import ANSWER, FEEDBACK, Metric
from t0dspy.flywheel.models.budget import Stop
from t0dspy.flywheel.models.silence import redirect_output
from t0dspy.flywheel.optimize.candidates import student_of
from t0dspy.flywheel.promotion.options import PromotionOptions
from t0dspy.flywheel.promotion.promotion import PromotionResult, promotion_test
from t0dspy.flywheel.scoring import OWN, Scored, check_failures, program_run, score_all

CHALLENGER = "challenger"


@dataclass(frozen=True)
class ContestResult:
    """The result of the promotion test, and the runs that it is based on."""

    result: PromotionResult
    incumbent: Sequence[Scored]
    challenger: Sequence[Scored]


def run_contest(
    incumbent: dspy.Module,
    challenger: dspy.Module,
    holdout: Sequence[Any],
    metric: Metric,
    lm: dspy.LM,
    adapter: dspy.Adapter,
    options: PromotionOptions,
    *,
    tags: Sequence[Mapping[str, str]] = (),
    groups: Sequence[str] = (),
    version: str = "incumbent",
    threads: int = 8,
    progress: Callable[[str], None] = lambda text: None,
    log: Path | None = None,
) -> ContestResult | None:
    """Score both programs on the holdout and run the promotion test; None if the budget ended before.

    Args:
        incumbent: the program with its instructions and demos; like `challenger`, it is not changed.
        challenger: the program that an optimizer made of it.
        holdout: examples that neither has seen.
        metric: the user's metric.
        lm: the model that runs both programs.
        adapter: the adapter that is served.
        options: the conditions for a promotion.
        tags: the tags of each example, to slice by.
        groups: the name of each example's group; examples of one group may depend on each other.
        version: the incumbent's name.
        threads: how many runs at once.
        progress: called with a line of progress.
        log: the file for the programs' own output; None discards it.

    Raises:
        MetricError: the metric raised an exception.
        OptimizeError: the model does not answer.
    """
    runs: dict[str, list[Scored]] = {}
    with redirect_output(log), dspy.context(lm=lm, adapter=adapter, disable_history=True):
        for name, program in ((version, incumbent), (CHALLENGER, challenger)):
            label = f"{name} on the holdout"

            def done(count: int, label: str = label) -> None:
                progress(f"{label}: {count} of {len(holdout)} runs")

            run = program_run(student_of(program))
            try:
                runs[name] = score_all(run, holdout, metric, threads=threads, done=done)
            except Stop as stop:
                if stop.why is None:
                    return None
                raise stop.why from stop
            if name == version or any(run.failure not in OWN for run in runs[name] if run.failure):
                check_failures(runs[name], label)
    scores = {metric.name: {name: [run.score for run in scored] for name, scored in runs.items()}}
    result = promotion_test(
        scores,
        metric=metric.name,
        incumbent=version,
        challenger=CHALLENGER,
        tags=tags,
        groups=groups,
        options=options,
    )
    return ContestResult(result, runs[version], runs[CHALLENGER])


@dataclass(frozen=True)
class Agreement:
    """How often a metric agrees with people about the same answers."""

    answers: int
    """Logged answers with a rating that the metric could score."""
    agreed: int


def measure_agreement(metric: Metric, examples: Sequence[Any], lm: dspy.LM, most: int = 200) -> Agreement:
    """Score logged answers with the metric, and compare the scores with people's boolean ratings.

    It calls no model unless the metric does. Answers that the metric cannot score do not count.

    Args:
        metric: the user's metric.
        examples: as `to_example` makes them.
        lm: the model for a metric that calls the configured model.
        most: the most answers to score.
    """
    rated = [example for example in examples if _verdicts(example) and example.get(ANSWER)][:most]
    answers = agreed = 0
    with redirect_output(None), dspy.context(lm=lm, disable_history=True):
        for example in rated:
            try:
                score = metric.score(example, dspy.Prediction(**example[ANSWER]))
            except (Exception, Stop):  # noqa: S112 - a metric may need data that the log lacks, and this figure decides nothing
                continue
            answers += 1
            agreed += (score.value >= metric.threshold) == all(_verdicts(example))
    return Agreement(answers, agreed)


def _verdicts(example: Any) -> list[bool]:
    return [value for value in (example.get(FEEDBACK) or {}).values() if isinstance(value, bool)]
