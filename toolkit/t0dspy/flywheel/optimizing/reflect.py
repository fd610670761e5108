"""GEPA with people's comments as its textual feedback, and the best so far kept at every moment."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Literal

import dspy

from t0dspy.compiler.introspect import signature_of
from t0dspy.errors import MetricError
from t0dspy.flywheel.evaluating.scoring import TOLERATED
from t0dspy.flywheel.metrics import Metric, raised
from t0dspy.flywheel.optimizing.spending import Stop
from t0dspy.flywheel.optimizing.trials import Trials


def reflect(
    student: dspy.Module,
    train: Sequence[Any],
    trials: Trials,
    *,
    prompt_model: Any,
    auto: Literal["light", "medium", "heavy"],
    seed: int,
    only: str | None,
    progress: Callable[[str], None],
) -> None:
    """Run `dspy.GEPA` on `student`; what it finds is in `trials`.

    GEPA changes instructions alone and keeps demos. Its own state on disk is a pickle, so none is written: a run that
    is resumed replays from the kept answers.

    Raises:
        Stop: the budget ended, or model or metric fail.
    """
    watch = _Watch(student, trials, progress)
    metric: Any = _Strict(trials.metric)
    options: dict[str, Any] = {"component_selector": lambda *args, **kwargs: [only]} if only else {}
    optimizer = dspy.GEPA(
        metric=metric,
        auto=auto,
        reflection_lm=prompt_model,
        num_threads=trials.threads,
        seed=seed,
        warn_on_score_mismatch=False,
        gepa_kwargs={"stop_callbacks": [watch]},
        **options,
    )
    watch.calls_at_most = optimizer.auto_budget(
        num_preds=len(student.predictors()),
        num_candidates={"light": 6, "medium": 12, "heavy": 18}[auto],
        valset_size=len(trials.validation),
    )
    optimizer.compile(student, trainset=list(train), valset=trials.validation)


class _Watch:
    """Is asked by GEPA before each iteration whether to stop, and sees the state it is in."""

    def __init__(self, student: dspy.Module, trials: Trials, progress: Callable[[str], None]) -> None:
        self.student, self.trials, self.progress = student, trials, progress
        self.calls_at_most = 0
        self._seen = 1  # candidate 0 is the incumbent, evaluated already

    def __call__(self, state: Any) -> bool:
        scores = list(state.program_full_scores_val_set)
        for at in range(self._seen, len(state.program_candidates)):
            self._note(at, state.program_candidates[at], float(scores[at]))
        self._seen = max(self._seen, len(state.program_candidates))
        self.progress(f"GEPA: {self._seen} candidates, {state.total_num_evals} runs, best {self.trials.best_score:.3f}")
        return bool(state.total_num_evals >= self.calls_at_most)

    def _note(self, at: int, candidate: dict[str, str], score: float) -> None:
        program = self.student.deepcopy()
        for path, predict in program.named_predictors():
            if path in candidate:
                predict.signature = signature_of(predict).with_instructions(candidate[path])
        self.trials.note(program, score, {path: {"instructions": at, "demos": 0} for path in candidate})


class _Strict:
    """The metric as GEPA calls it; one that keeps raising ends the run, where GEPA would count zeros."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self.asked = self.raised = 0
        self.__signature__ = inspect.signature(metric.gepa)

    def __call__(
        self, gold: Any, pred: Any, trace: Any = None, pred_name: str | None = None, pred_trace: Any = None
    ) -> Any:
        self.asked += 1
        try:
            return self.metric.gepa(gold, pred, trace, pred_name, pred_trace)
        except Exception as error:
            self.raised += 1
            if self.raised > max(3, TOLERATED * self.asked):
                said = f"{type(error).__name__}: {str(error)[:300]}"
                raise Stop(MetricError(raised(self.raised, self.asked, said))) from error
            raise
