"""MIPROv2 that starts from the incumbent.

`dspy.MIPROv2` (DSPy 3.4) keeps the student's instructions among its candidates, but forgets its demos, counts every
failure as a score of 0, and evaluates through stdout. `Recompiler` overrides its three steps and nothing else:
the incumbent's demos are candidate 0 of each predictor, so that the default trial is the incumbent itself; demos
from production stand beside those it bootstraps; evaluations go through `Trials`.
"""

import copy
from collections.abc import Callable
from typing import Any

import dspy
from dspy.utils.exceptions import AdapterParseError

from t0dspy.compiler.introspect import signature_of
from t0dspy.flywheel.optimizing.candidates import DemoSets, Sealed, distinct, sanitized
from t0dspy.flywheel.optimizing.trials import Trials


class Recompiler(dspy.MIPROv2):
    """MIPROv2 with the incumbent's demos and production's among the candidates."""

    def __init__(
        self,
        *args: Any,
        trials: Trials,
        demos: DemoSets,
        sealed: Sealed,
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
            only: the place of the one predictor to optimize; None for all.
            progress: called with a line about what is being done.
            options: passed on.
        """
        super().__init__(*args, **options)
        self.trials, self.demos, self.sealed, self.only, self.progress = trials, demos, sealed, only, progress
        self.notes: list[str] = []

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
            candidates[at] = distinct([own, *(self.sealed.without(sanitized(one, signature)) for one in others)])
        return candidates

    def _propose_instructions(  # type: ignore[override]
        self, program: Any, trainset: Any, demos: Any, *args: Any, **options: Any
    ) -> Any:
        self.progress("proposing instructions")
        own = {at: [signature_of(predict).instructions] for at, predict in enumerate(program.predictors())}
        seen = _only(program, self.only) if self.only is not None else program
        shown: Any = {0: demos[self.only]} if self.only is not None else demos
        try:
            found = super()._propose_instructions(seen, trainset, shown, *args, **options)
        except AdapterParseError as error:
            self.notes.append(
                f"the prompt model's answer could not be read, so no new instructions: {str(error)[:200]}"
            )
            found = {}
        for at, proposed in found.items():
            place = at if self.only is None else self.only
            own[place] = list(dict.fromkeys([*own[place], *(one for one in proposed if one and one.strip())]))
        return own

    def _optimize_prompt_parameters(  # type: ignore[override]
        self, program: Any, instructions: Any, demos: Any, evaluate: Any, *args: Any, **options: Any
    ) -> Any:
        self.trials.choice_of = lambda candidate: _choice(candidate, instructions, demos)
        evaluate = self.trials
        return super()._optimize_prompt_parameters(program, instructions, demos, evaluate, *args, **options)


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
