"""MIPROv2 that starts from the incumbent.

`dspy.MIPROv2` (DSPy 3.4) keeps the student's instructions among its candidates, but it drops its demos, counts every
failure as a score of 0, gives up all proposals after the first that cannot be read, overwrites the first proposal with
the student's own instruction, and evaluates through stdout. `Recompiler` overrides only these steps. The incumbent's
demos are candidate 0 of each predictor, so that the default trial is the incumbent itself. Demos from production are
added to the bootstrapped ones. Proposals are counted one by one, and all that can be read are candidates. Evaluations
go through `Trials`.
"""

import copy
from collections.abc import Callable
from typing import Any

import dspy
from dspy.propose import GroundedProposer
from dspy.teleprompt.mipro_optimizer_v2 import BOOTSTRAPPED_FEWSHOT_EXAMPLES_IN_CONTEXT

from t0dspy.compiler.introspect import signature_of
from t0dspy.flywheel.optimize.candidates import DemoSets, Sealed, drop_repeated_sets, sanitized
from t0dspy.flywheel.optimize.gate import Gate
from t0dspy.flywheel.optimize.proposals import Proposals
from t0dspy.flywheel.optimize.trials import Trials


# Workaround (dspy 3.4): MIPROv2 forgets the student's demos, scores every failure as 0, drops all proposals after one
# that cannot be parsed, overwrites the first proposal, and evaluates through stdout; remove when it accepts candidates,
# an evaluator and a proposer.
class Recompiler(dspy.MIPROv2):
    """MIPROv2 with the incumbent's demos and production's among the candidates."""

    def __init__(
        self,
        *args: Any,
        trials: Trials,
        demos: DemoSets,
        sealed: Sealed,
        proposals: Proposals,
        gate: Gate,
        only: int | None = None,
        progress: Callable[[str], None] = lambda text: None,
        **options: Any,
    ) -> None:
        """Create the optimizer.

        Args:
            args: those of MIPROv2.
            trials: evaluates the candidates.
            demos: more sets of demos to try, by path of the predictor.
            sealed: inputs that no demo may show.
            proposals: counts the proposed instructions.
            gate: refuses text that may not enter a prompt.
            only: the index of the one predictor to optimize; None for all.
            progress: called with a line of progress.
            options: those of MIPROv2.
        """
        super().__init__(*args, **options)
        self.trials, self.demos, self.sealed, self.only, self.progress = trials, demos, sealed, only, progress
        self.proposals, self.gate = proposals, gate

    def _set_num_trials_from_num_candidates(self, program: Any, zeroshot_opt: bool, num_candidates: int) -> int:
        if self.only is not None:
            program = _only(program, self.only)
        return int(super()._set_num_trials_from_num_candidates(program, zeroshot_opt, num_candidates))  # type: ignore[no-untyped-call]

    def _bootstrap_fewshot_examples(self, program: Any, *args: Any, **options: Any) -> Any:
        self.progress("bootstrapping demos")
        bootstrapped: Any = super()._bootstrap_fewshot_examples(program, *args, **options)
        candidates = {}
        for index, (path, predict) in enumerate(program.named_predictors()):
            incumbent_demos = list(predict.demos)
            if self.only not in (None, index):
                candidates[index] = [incumbent_demos]
                continue
            signature = signature_of(predict)
            others = [*bootstrapped[index], *self.demos.get(path, [])]
            shown = (self.gate.admit_demos(self.sealed.without(sanitized(demos, signature))) for demos in others)
            candidates[index] = drop_repeated_sets([incumbent_demos, *shown])
        return candidates

    def _propose_instructions(
        self,
        program: Any,
        trainset: Any,
        demo_candidates: Any,
        view_data_batch_size: int,
        program_aware_proposer: bool,
        data_aware_proposer: bool,
        tip_aware_proposer: bool,
        fewshot_aware_proposer: bool,
        num_instruct_candidates: int,
    ) -> Any:
        self.progress("proposing instructions")
        candidates = {index: [signature_of(predict).instructions] for index, predict in enumerate(program.predictors())}
        seen = _only(program, self.only) if self.only is not None else program
        shown: Any = {0: demo_candidates[self.only]} if self.only is not None else demo_candidates
        proposer = Proposer(
            program=seen,
            trainset=trainset,
            prompt_model=self.prompt_model,
            view_data_batch_size=view_data_batch_size,
            program_aware=program_aware_proposer,
            use_dataset_summary=data_aware_proposer,
            use_task_demos=fewshot_aware_proposer,
            num_demos_in_context=BOOTSTRAPPED_FEWSHOT_EXAMPLES_IN_CONTEXT,
            use_tip=tip_aware_proposer,
            set_tip_randomly=tip_aware_proposer,
            use_instruct_history=False,
            set_history_randomly=False,
            rng=self.rng,
            init_temperature=self.init_temperature,
        )
        proposer.proposals = self.proposals
        proposals: Any = proposer.propose_instructions_for_program(
            trainset=trainset, program=seen, demo_candidates=shown, N=num_instruct_candidates, trial_logs={}
        )
        self.proposals.check(self.trials.ledger.spent.calls)
        for index, proposed in proposals.items():
            place = index if self.only is None else self.only
            written = [
                text
                for text in proposed
                if text and text.strip() and self.gate.admits_instruction(text, candidates[place][0])
            ]
            candidates[place] = list(dict.fromkeys([*candidates[place], *written]))
        return candidates

    def _optimize_prompt_parameters(  # type: ignore[override]
        self, program: Any, instructions: Any, demos: Any, evaluate: Any, *args: Any, **options: Any
    ) -> Any:
        self.trials.choice_of = lambda candidate: _choice(candidate, instructions, demos)
        evaluate = self.trials
        return super()._optimize_prompt_parameters(program, instructions, demos, evaluate, *args, **options)


class Proposer(GroundedProposer):
    """DSPy's proposer, changed so that an unreadable answer costs only one proposal.

    In DSPy 3.4 it ends all proposals that would follow.
    """

    proposals: Proposals

    def propose_instruction_for_predictor(self, *args: Any, **options: Any) -> str:
        """Return an instruction; empty if none could be proposed."""
        try:
            proposed = str(super().propose_instruction_for_predictor(*args, **options))
        except Exception as error:
            self.proposals.record_failure(error)
            return ""
        if not proposed.strip():
            self.proposals.record_failure("the prompt model proposed an empty instruction.")
            return ""
        self.proposals.record_success()
        return proposed


def _only(program: dspy.Module, index: int) -> dspy.Module:
    """Return a view of `program` that shows one of its predictors."""
    view, chosen = copy.copy(program), program.predictors()[index]
    view.predictors = lambda: [chosen]  # type: ignore[method-assign]
    return view


def _choice(program: dspy.Module, instructions: Any, demos: Any) -> dict[str, Any]:
    chosen = {}
    for index, (path, predict) in enumerate(program.named_predictors()):
        text = signature_of(predict).instructions
        sets = demos[index] if demos else []
        chosen[path] = {
            "instructions": instructions[index].index(text) if text in instructions[index] else None,
            "demos": next((number for number, demo_set in enumerate(sets) if demo_set == list(predict.demos)), None),
        }
    return chosen
