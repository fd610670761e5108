"""Run GEPA with people's comments as textual feedback; the best candidate so far is kept at every moment."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import dspy
from dspy.teleprompt.gepa import InstructionProposer

from t0dspy.compiler.introspect import signature_of
from t0dspy.errors import MetricError
from t0dspy.flywheel.metrics import Metric, raise_message
from t0dspy.flywheel.models.budget import Stop
from t0dspy.flywheel.optimize.gate import Gate
from t0dspy.flywheel.optimize.proposals import Proposals
from t0dspy.flywheel.optimize.trials import Trials
from t0dspy.flywheel.scoring import TOLERATED


def run_gepa(
    student: dspy.Module,
    train: Sequence[Any],
    trials: Trials,
    *,
    gate: Gate,
    prompt_model: Any,
    auto: Literal["light", "medium", "heavy"],
    seed: int,
    only: str | None,
    proposals: Proposals,
    progress: Callable[[str], None],
) -> None:
    """Run `dspy.GEPA` on `student`; the candidates that it finds are in `trials`.

    GEPA changes only instructions and keeps demos. Its own state on disk is a pickle, so none is written; a resumed run
    replays from the stored answers.

    Raises:
        Stop: the budget ended, a model or the metric fails, or nothing can be proposed.
    """
    watch = _Watch(student, trials, gate, progress)
    metric: Any = _Strict(trials.metric)
    options: dict[str, Any] = {"component_selector": lambda *args, **kwargs: [only]} if only else {}
    optimizer = dspy.GEPA(
        metric=metric,
        auto=auto,
        reflection_lm=prompt_model,
        num_threads=trials.threads,
        seed=seed,
        warn_on_score_mismatch=False,
        instruction_proposer=_Counted(proposals, trials),
        gepa_kwargs={"stop_callbacks": [watch], "callbacks": [_Iterations(proposals, trials)]},
        **options,
    )
    watch.calls_at_most = optimizer.auto_budget(
        num_preds=len(student.predictors()),
        num_candidates={"light": 6, "medium": 12, "heavy": 18}[auto],
        valset_size=len(trials.validation),
    )
    optimizer.compile(student, trainset=list(train), valset=trials.validation)


class _Counted(InstructionProposer):
    """DSPy's proposer with counted proposals; GEPA logs its exceptions and continues with the next iteration."""

    def __init__(self, proposals: Proposals, trials: Trials) -> None:
        super().__init__()
        self.proposals, self.trials = proposals, trials
        self._failed: Any = None

    def __call__(
        self,
        candidate: dict[str, str],
        reflective_dataset: Mapping[str, Sequence[Mapping[str, Any]]],
        components_to_update: list[str],
    ) -> dict[str, str]:
        try:
            proposed = super().__call__(candidate, reflective_dataset, components_to_update)
        except Exception as error:
            # Workaround (gepa 0.1): GEPA repeats a proposal that raised, with the same data set; remove when it reports
            # an exception once.
            if self._failed is not reflective_dataset:
                self._failed = reflective_dataset
                self.proposals.record_failure(error)
                self.proposals.check_patience(self.trials.ledger.spent.calls)
            raise
        if proposed:
            self.proposals.record_success()
        return proposed


class _Iterations:
    """Counts the iterations of GEPA that end before the prompt model is called, although a run could be improved."""

    def __init__(self, proposals: Proposals, trials: Trials) -> None:
        self.proposals, self.trials = proposals, trials
        self._explained = True

    def on_iteration_start(self, event: Any) -> None:
        """Start an iteration."""
        self._explained = False

    def on_merge_attempted(self, event: Any) -> None:
        """Note that this iteration merges two candidates and reflects on nothing."""
        self._explained = True

    def on_reflective_dataset_built(self, event: Any) -> None:
        """Note that the prompt model is called next; `_Counted` counts the result."""
        self._explained = True

    def on_evaluation_skipped(self, event: Any) -> None:
        """Note whether the sample had no fault and so needs no proposal."""
        self._explained = self._explained or event["reason"] == "all_scores_perfect"

    def on_iteration_end(self, event: Any) -> None:
        """Count an iteration in which no run could be reflected on."""
        if not self._explained:
            self.proposals.record_failure("no run on the training examples has an answer that can be read.")
            self.proposals.check_patience(self.trials.ledger.spent.calls)


class _Watch:
    """GEPA's stop callback, called before each iteration with its state, from which candidates are noted."""

    def __init__(self, student: dspy.Module, trials: Trials, gate: Gate, progress: Callable[[str], None]) -> None:
        self.student, self.trials, self.gate, self.progress = student, trials, gate, progress
        self.calls_at_most = 0
        self._seen = 1  # candidate 0 is the incumbent, evaluated already

    def __call__(self, state: Any) -> bool:
        scores = list(state.program_full_scores_val_set)
        for number in range(self._seen, len(state.program_candidates)):
            self._note(number, state.program_candidates[number], float(scores[number]))
        self._seen = max(self._seen, len(state.program_candidates))
        self.progress(f"GEPA: {self._seen} candidates, {state.total_num_evals} runs, best {self.trials.best_score:.3f}")
        return bool(state.total_num_evals >= self.calls_at_most)

    def _note(self, number: int, candidate: dict[str, str], score: float) -> None:
        program = self.student.deepcopy()
        for path, predict in program.named_predictors():
            if path in candidate:
                if not self.gate.admits_instruction(candidate[path], signature_of(predict).instructions):
                    return
                predict.signature = signature_of(predict).with_instructions(candidate[path])
        self.trials.note(program, score, {path: {"instructions": number, "demos": 0} for path in candidate})


class _Strict:
    """The metric as GEPA calls it; a metric that keeps raising ends the run, because GEPA would count zeros."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self.calls = self.raised = 0
        self.__signature__ = inspect.signature(metric.gepa)

    def __call__(
        self, gold: Any, pred: Any, trace: Any = None, pred_name: str | None = None, pred_trace: Any = None
    ) -> Any:
        self.calls += 1
        try:
            return self.metric.gepa(gold, pred, trace, pred_name, pred_trace)
        except Exception as error:
            self.raised += 1
            if self.raised > max(3, TOLERATED * self.calls):
                explanation = self.metric.explain(error, gold, pred)
                raise Stop(MetricError(raise_message(self.raised, self.calls, explanation))) from error
            raise
