"""The score that a retrain reaches for its calls of models, beside plain MIPROv2 from scratch on the same data.

The model is scripted, so its true quality under a prompt is known: how often it is right hangs on two hints in the
instructions, which an instruction writer hits upon now and then, and on the number of demos. The incumbent knows one
hint and has two demos. Both searches get the same examples, budgets and seeds; the quality of what they end with is
reckoned from the script, not measured.
"""

import sys
import time
from pathlib import Path
from typing import Any

import dspy

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from benchmarks import Row
from support.scripted import as_optimizer, demos_in, luck, models_of, question
from support.served import asked, chat, system
from t0dspy.compiler.adapters import make_adapter
from t0dspy.flywheel.builtin_metrics import exact_match
from t0dspy.flywheel.example import PulledExample
from t0dspy.flywheel.metrics import Metric
from t0dspy.flywheel.models.budget import Budget, Stop
from t0dspy.flywheel.models.silence import redirect_output
from t0dspy.flywheel.optimize.candidates import Sealed, production_sets, student_of
from t0dspy.flywheel.optimize.optimize import optimize
from t0dspy.flywheel.optimize.options import OptimizeOptions
from t0dspy.flywheel.optimize.search import Data, Models
from t0dspy.flywheel.optimize.trials import Trials
from t0dspy.model import PromptForm
from t0dspy.testing import RecordedRequest, Reply, ScriptedUpstream

BUDGETS, SEEDS = (100, 200, 400, 800), (1, 2, 3, 4, 5)
HINTS = {"CAREFUL": 0.25, "PATIENT": 0.15}
FORM, METRIC = PromptForm("chat", "system"), Metric(exact_match())


def quality(instructions: str, demos: int) -> float:
    """How often the model is right under a prompt."""
    return 0.25 + sum(worth for hint, worth in HINTS.items() if hint in instructions) + 0.04 * min(demos, 4)


def model(request: RecordedRequest) -> Reply:
    said = system(request)
    if "`question` (str)" in said and "`answer` (str)" in said and "question" in asked(request):
        text = asked(request)["question"]
        right = luck(text) < quality(said, demos_in(request))
        return Reply(chat(answer=text.upper() if right else "no idea"), usage=(100, 10))
    return Reply(as_optimizer(request, _proposal(request)), usage=(1000, 100))


def _proposal(request: RecordedRequest) -> str:
    text = str(request.body)
    kept = [hint for hint in HINTS if hint in text and luck(hint, "keep", text) < 0.7]
    found = [hint for hint in HINTS if luck(hint, "find", text) < 0.15]
    return " ".join(["Answer", *dict.fromkeys([*kept, *found])])


class Plain(dspy.MIPROv2):
    """MIPROv2 as it is, its evaluations recorded so that a budget can end it with the best so far."""

    trials: Trials

    def _optimize_prompt_parameters(  # type: ignore[override]
        self, program: Any, instructions: Any, demos: Any, evaluate: Any, *args: Any
    ) -> Any:
        return super()._optimize_prompt_parameters(program, instructions, demos, self.trials, *args)


def scratch() -> dspy.Predict:
    return dspy.Predict(dspy.Signature("question -> answer", "Answer."))


def incumbent() -> dspy.Predict:
    program = dspy.Predict(dspy.Signature("question -> answer", "Answer CAREFUL."))
    program.demos = [dspy.Example(question=f"old {at}", answer=f"OLD {at}", augmented=True) for at in range(2)]
    return program


def plain(models: Models, data: Data, seed: int) -> dspy.Module:
    student = student_of(scratch())
    trials = Trials(data.validation, METRIC, models.ledger, 8)
    search = Plain(METRIC, models.prompt, models.task, auto="light", seed=seed, num_threads=8, track_stats=False)
    search.trials = trials
    with redirect_output(None), dspy.context(lm=models.task, adapter=make_adapter(FORM, {}), disable_history=True):
        try:
            search.compile(student, trainset=list(data.train), valset=list(data.validation))
        except Stop as stop:
            if stop.why is not None:
                raise
    return trials.best or student


def retrained(models: Models, data: Data, seed: int) -> dspy.Module:
    return optimize(incumbent(), data, METRIC, models, make_adapter(FORM, {}), OptimizeOptions(seed=seed)).program


def reached(program: dspy.Module) -> float:
    predict = program.predictors()[0]
    return quality(predict.signature.instructions, len(predict.demos))


def data_for(seed: int) -> Data:
    train, validation = question(f"train {seed}", 40), question(f"val {seed}", 40)
    runs = [PulledExample({"question": one.question}, {"answer": one.answer}, None) for one in train[:12]]
    return Data(train, validation, production_sets(runs, incumbent(), 4, seed=seed), Sealed(()))


def measure() -> list[Row]:
    table: dict[str, dict[int, float]] = {}
    seconds = spent = cost = 0.0
    for name, search in (("plain", plain), ("retrain", retrained)):
        for budget in BUDGETS:
            total = 0.0
            for seed in SEEDS:
                with ScriptedUpstream(model) as upstream:
                    models, began = models_of(upstream, Budget(calls=budget)), time.perf_counter()
                    total += reached(search(models, data_for(seed), seed))
                if name == "retrain" and budget == BUDGETS[-1]:
                    seconds += time.perf_counter() - began
                    spent += models.ledger.spent.calls
                    cost += models.ledger.spent.cost or 0.0
            table.setdefault(name, {})[budget] = total / len(SEEDS)
    rows = [_row(budget, table["retrain"][budget], table["plain"][budget]) for budget in BUDGETS]
    each = len(SEEDS)
    figure = f"{spent / each:,.0f} calls, {seconds / each:.1f} s, ${cost / each:.3f} at $1 and $10 a million tokens"
    return [*rows, Row("one light search, 40 train and 40 validation examples", figure, "told", met=True)]


def _row(budget: int, ours: float, theirs: float) -> Row:
    start = reached(incumbent())
    what = f"true quality after at most {budget} calls, from an incumbent of {start:.2f}, beside MIPROv2 from scratch"
    return Row(what, f"{ours:.3f} against {theirs:.3f}", "no less", ours >= theirs - 1e-9)


if __name__ == "__main__":
    for row in measure():
        print(f"| {row.what} | {row.figure} | {row.target} | {'met' if row.met else 'MISSED'} |")
