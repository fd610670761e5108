"""MIPROv2 that starts from the incumbent.

`dspy.MIPROv2` (DSPy 3.4) keeps the student's instructions among its candidates, but forgets its demos, counts every
failure as a score of 0, gives up all proposals at the first that cannot be read, overwrites the first proposal with the
student's own instruction, and evaluates through stdout. `Recompiler` overrides its three steps and nothing else:
the incumbent's demos are candidate 0 of each predictor, so that the default trial is the incumbent itself; demos
from production stand beside those it bootstraps; proposals are counted one by one, and all that can be read are
candidates; evaluations go through `Trials`.
"""

import copy
from collections.abc import Callable
from typing import Any

import dspy
from dspy.propose import GroundedProposer
from dspy.teleprompt.mipro_optimizer_v2 import BOOTSTRAPPED_FEWSHOT_EXAMPLES_IN_CONTEXT

from t0dspy.compiler.introspect import signature_of
from t0dspy.flywheel.optimize.candidates import DemoSets, Sealed, distinct, sanitized
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
        """Beside MIPROv2's own.

        Args:
            args: passed on.
            trials: who evaluates.
            demos: more sets of demos to try, by path of the predictor.
            sealed: what no demo may show.
            proposals: where proposed instructions are counted.
            gate: what may stand in a prompt.
            only: the place of the one predictor to optimize; None for all.
            progress: called with a line about what is being done.
            options: passed on.
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
        found: Any = super()._bootstrap_fewshot_examples(program, *args, **options)
        candidates = {}
        for at, (path, predict) in enumerate(program.named_predictors()):
            own = list(predict.demos)
            if self.only not in (None, at):
                candidates[at] = [own]
                continue
            signature = signature_of(predict)
            others = [*found[at], *self.demos.get(path, [])]
            shown = (self.gate.demos(self.sealed.without(sanitized(one, signature))) for one in others)
            candidates[at] = distinct([own, *shown])
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
        own = {at: [signature_of(predict).instructions] for at, predict in enumerate(program.predictors())}
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
        found: Any = proposer.propose_instructions_for_program(
            trainset=trainset, program=seen, demo_candidates=shown, N=num_instruct_candidates, trial_logs={}
        )
        self.proposals.check(self.trials.ledger.spent.calls)
        for at, proposed in found.items():
            place = at if self.only is None else self.only
            written = [one for one in proposed if one and one.strip() and self.gate.instruction(one, own[place][0])]
            own[place] = list(dict.fromkeys([*own[place], *written]))
        return own

    def _optimize_prompt_parameters(  # type: ignore[override]
        self, program: Any, instructions: Any, demos: Any, evaluate: Any, *args: Any, **options: Any
    ) -> Any:
        self.trials.choice_of = lambda candidate: _choice(candidate, instructions, demos)
        evaluate = self.trials
        return super()._optimize_prompt_parameters(program, instructions, demos, evaluate, *args, **options)


class Proposer(GroundedProposer):
    """DSPy's proposer, in which one unreadable answer costs one proposal and not all that come after it."""

    proposals: Proposals

    def propose_instruction_for_predictor(self, *args: Any, **options: Any) -> str:
        """Return an instruction; an empty text where none could be proposed."""
        try:
            proposed = str(super().propose_instruction_for_predictor(*args, **options))
        except Exception as error:
            self.proposals.failed(error)
            return ""
        if not proposed.strip():
            self.proposals.failed("the prompt model proposed an empty instruction.")
            return ""
        self.proposals.made_one()
        return proposed


def _only(program: dspy.Module, at: int) -> dspy.Module:
    """A view of `program` that shows one of its predictors."""
    view, chosen = copy.copy(program), program.predictors()[at]
    view.predictors = lambda: [chosen]  # type: ignore[method-assign]
    return view


def _choice(program: dspy.Module, instructions: Any, demos: Any) -> dict[str, Any]:
    chosen = {}
    for at, (path, predict) in enumerate(program.named_predictors()):
        text = signature_of(predict).instructions
        sets = demos[at] if demos else []
        chosen[path] = {
            "instructions": instructions[at].index(text) if text in instructions[at] else None,
            "demos": next((number for number, one in enumerate(sets) if one == list(predict.demos)), None),
        }
    return chosen
