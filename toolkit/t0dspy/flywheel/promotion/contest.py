"""Incumbent and challenger on the holdout, in the same prompt form, by the same model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dspy

from t0dspy.compiler.adapters import served_adapter
from t0dspy.flywheel.metrics import ANSWER, FEEDBACK, Metric
from t0dspy.flywheel.models.budget import Stop
from t0dspy.flywheel.models.silence import quietly
from t0dspy.flywheel.optimize.candidates import student_of
from t0dspy.flywheel.promotion.options import PromotionOptions
from t0dspy.flywheel.promotion.promotion import PromotionResult, promotion_test
from t0dspy.flywheel.scoring import OWN, Scored, check_failures, program_run, score_all
from t0dspy.model import PromptForm

CHALLENGER = "challenger"


@dataclass(frozen=True)
class Judged:
    """What the judge said, and of what."""

    judgement: PromotionResult
    incumbent: Sequence[Scored]
    challenger: Sequence[Scored]


def judged(
    incumbent: dspy.Module,
    challenger: dspy.Module,
    holdout: Sequence[Any],
    metric: Metric,
    lm: dspy.LM,
    form: PromptForm,
    options: PromotionOptions,
    *,
    tags: Sequence[Mapping[str, str]] = (),
    groups: Sequence[str] = (),
    version: str = "incumbent",
    threads: int = 8,
    progress: Callable[[str], None] = lambda text: None,
    log: Path | None = None,
) -> Judged | None:
    """Score both on the holdout and judge; None when the budget ended before.

    Args:
        incumbent: with its instructions and demos; as `challenger`, it is not changed.
        challenger: what an optimizer made of it.
        holdout: examples that neither has seen.
        metric: the user's.
        lm: who runs both.
        form: the prompt form that is served.
        options: what it takes to be promoted.
        tags: of each example, to slice by.
        groups: the name of each example's group, whose examples may depend on each other.
        version: the incumbent's name.
        threads: how many runs at once.
        progress: called with a line about what is being done.
        log: where programs' own output goes.

    Raises:
        MetricError: the metric raises.
        OptimizeError: the model does not answer.
    """
    runs: dict[str, list[Scored]] = {}
    with quietly(log), dspy.context(lm=lm, adapter=served_adapter(form), disable_history=True):
        for name, program in ((version, incumbent), (CHALLENGER, challenger)):
            what = f"{name} on the holdout"

            def done(count: int, what: str = what) -> None:
                progress(f"{what}: {count} of {len(holdout)} runs")

            run = program_run(student_of(program))
            try:
                runs[name] = score_all(run, holdout, metric, threads=threads, done=done)
            except Stop as stop:
                if stop.why is None:
                    return None
                raise stop.why from stop
            if name == version or any(one.failure not in OWN for one in runs[name] if one.failure):
                check_failures(runs[name], what)
    scores = {metric.name: {name: [one.score for one in scored] for name, scored in runs.items()}}
    found = promotion_test(
        scores,
        metric=metric.name,
        incumbent=version,
        challenger=CHALLENGER,
        tags=tags,
        groups=groups,
        options=options,
    )
    return Judged(found, runs[version], runs[CHALLENGER])


@dataclass(frozen=True)
class Agreement:
    """How far a metric says what people say of the same answers."""

    answers: int
    """Logged answers with a verdict that the metric could score."""
    agreed: int


def agreement(metric: Metric, examples: Sequence[Any], lm: dspy.LM, most: int = 200) -> Agreement:
    """Score logged answers with the metric, and compare with people's boolean verdicts on them.

    It costs no call of a model unless the metric makes one. Answers that the metric cannot score do not count.

    Args:
        metric: the user's.
        examples: as `to_example` makes them.
        lm: for a metric that asks the configured model.
        most: how many answers at most.
    """
    rated = [one for one in examples if _verdicts(one) and one.get(ANSWER)][:most]
    answers = agreed = 0
    with quietly(None), dspy.context(lm=lm, disable_history=True):
        for example in rated:
            try:
                score = metric.score(example, dspy.Prediction(**example[ANSWER]))
            except (Exception, Stop):  # noqa: S112 - a metric may need what a log lacks; a figure, not a decision
                continue
            answers += 1
            agreed += (score.value >= metric.threshold) == all(_verdicts(example))
    return Agreement(answers, agreed)


def _verdicts(example: Any) -> list[bool]:
    return [value for value in (example.get(FEEDBACK) or {}).values() if isinstance(value, bool)]
