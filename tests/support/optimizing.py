"""A small program, its data, and a call of `optimize` on them."""

from typing import Any

import dspy

from support.scripted import question
from t0dspy.compiler.adapters import make_adapter
from t0dspy.flywheel.builtin_metrics import exact_match
from t0dspy.flywheel.metrics import Metric
from t0dspy.flywheel.optimize.optimize import Optimized, optimize
from t0dspy.flywheel.optimize.options import OptimizeOptions
from t0dspy.flywheel.optimize.search import Data, Models
from t0dspy.model import PromptForm

TRAIN, VALIDATION = question("train", 20), question("val", 20)
METRIC = Metric(exact_match())
DATA, FORM = Data(TRAIN, VALIDATION), PromptForm()  # one gate for all tests: `optimize` counts anew


def asker(*demos: dict[str, str]) -> dspy.Predict:
    program = dspy.Predict(dspy.Signature("question -> answer", "Shout."))
    program.demos = [dspy.Example(**demo, augmented=True) for demo in demos]
    return program


def run(
    models: Models,
    program: dspy.Module | None = None,
    *,
    metric: Metric = METRIC,
    data: Data = DATA,
    form: PromptForm = FORM,
    **options: Any,
) -> Optimized:
    adapter = make_adapter(form, {})
    return optimize(program or asker(), data, metric, models, adapter, OptimizeOptions(threads=4, **options))
