"""Evaluate an optimizer's candidates one by one, report failures, and keep the best candidate at every moment."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import dspy

from t0dspy.errors import T0dspyError
from t0dspy.flywheel.metrics import Metric
from t0dspy.flywheel.models.budget import Ledger, Stop
from t0dspy.flywheel.optimize.candidates import prompts_key
from t0dspy.flywheel.scoring import Scored, check_failures, mean, program_run, score_all


@dataclass(frozen=True)
class Trial:
    """One evaluation of one candidate."""

    number: int
    """0 is the incumbent."""
    score: float
    """The mean over its runs."""
    runs: int
    full: bool
    """Whether it used the whole validation set; only such a candidate may win."""
    failed: int
    """Runs with answers that could not be parsed, or with code that raised an exception."""
    calls: int
    """Model calls from the start of the run to the end of this trial."""
    choice: dict[str, Any] = field(default_factory=dict)
    """Path of a predictor -> the numbers of its instruction and demo candidates; 0 is the incumbent's own."""


class Trials:
    """Evaluates candidates on the validation set, and keeps the best one that was evaluated on all of it."""

    def __init__(
        self,
        validation: Sequence[Any],
        metric: Metric,
        ledger: Ledger,
        threads: int,
        progress: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Evaluate on `validation`, under the DSPy settings of the caller."""
        self.validation, self.metric, self.ledger, self.threads = list(validation), metric, ledger, threads
        self.progress = progress
        self.trials: list[Trial] = []
        self.best: dspy.Module | None = None
        self.best_score = 0.0
        self._known: dict[tuple[str, frozenset[int]], list[Scored]] = {}
        self.choice_of: Callable[[dspy.Module], dict[str, Any]] = lambda program: {}

    def __deepcopy__(self, memo: dict[int, Any]) -> "Trials":
        return self

    def begin(self, incumbent: dspy.Module) -> None:
        """Evaluate the incumbent first, so that a broken model, metric or program is found before much is spent.

        Raises:
            Stop: the budget ended.
            MetricError: the metric raised an exception.
            OptimizeError: the model does not answer, or every run failed.
        """
        scored = self._score(incumbent, self.validation, "the incumbent on the validation set")
        check_failures(scored, "the incumbent on the validation set")
        self._known[prompts_key(incumbent), frozenset(map(id, self.validation))] = scored
        self._note(incumbent, scored, full=True)

    def __call__(self, program: dspy.Module, devset: Sequence[Any] | None = None, **_: Any) -> dspy.Prediction:
        """Evaluate a candidate; optimizers call this in place of `dspy.Evaluate`.

        Raises:
            Stop: the budget ended, or failures decide the scores.
        """
        examples = self.validation if devset is None else list(devset)
        full = len(examples) >= len(self.validation)
        key = (prompts_key(program), frozenset(map(id, examples)))
        if key in self._known:
            return _result(examples, self._known[key])
        label = f"trial {len(self.trials)}"
        scored = self._score(program, examples, label)
        try:
            if any(run.failure in ("model", "metric") for run in scored):
                check_failures(scored, label)
        except T0dspyError as error:
            raise Stop(error) from error
        self._known[key] = scored
        self._note(program, scored, full=full)
        return _result(examples, scored)

    def _score(self, program: dspy.Module, examples: Sequence[Any], label: str) -> list[Scored]:
        def done(count: int) -> None:
            self.progress(f"{label}: {count} of {len(examples)} runs, best so far {self.best_score:.3f}")

        return score_all(program_run(program), examples, self.metric, threads=self.threads, done=done)

    def note(self, program: dspy.Module, score: float, choice: dict[str, Any]) -> None:
        """Note a candidate that was evaluated elsewhere on the whole validation set."""
        self._keep_best(program, score)
        self._append(score, len(self.validation), 0, choice, full=True)

    def _note(self, program: dspy.Module, scored: Sequence[Scored], *, full: bool) -> None:
        score = mean(scored)
        if full:
            self._keep_best(program, score)
        failed = sum(run.failure is not None for run in scored)
        self._append(score, len(scored), failed, self.choice_of(program), full=full)

    def _keep_best(self, program: dspy.Module, score: float) -> None:
        if self.best is None or score > self.best_score:
            self.best, self.best_score = program.deepcopy(), score

    def _append(self, score: float, runs: int, failed: int, choice: dict[str, Any], *, full: bool) -> None:
        calls = self.ledger.spent.calls
        self.trials.append(Trial(len(self.trials), score, runs, full, failed, calls, choice))


def _result(examples: Sequence[Any], scored: Sequence[Scored]) -> dspy.Prediction:
    results = [(example, run.prediction, run.score) for example, run in zip(examples, scored, strict=True)]
    return dspy.Prediction(score=round(100 * mean(scored), 2), results=results)
