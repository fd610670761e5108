"""Compile optimized DSPy programs to TensorZero config, serve them, and retrain them from feedback."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from t0dspy.compiler.adapters import ServedAdapter as ServedAdapter
    from t0dspy.errors import CompileError as CompileError
    from t0dspy.errors import T0dspyError as T0dspyError
    from t0dspy.errors import WireInequalityError as WireInequalityError
    from t0dspy.exporting.export import export as export
    from t0dspy.exporting.options import ExportOptions as ExportOptions
    from t0dspy.flywheel.builtin_metrics import agrees_with_feedback as agrees_with_feedback
    from t0dspy.flywheel.builtin_metrics import backward_grade as backward_grade
    from t0dspy.flywheel.builtin_metrics import exact_match as exact_match
    from t0dspy.flywheel.evaluate.evaluate import EvaluateOptions as EvaluateOptions
    from t0dspy.flywheel.evaluate.evaluate import evaluate as evaluate
    from t0dspy.flywheel.metrics import Metric as Metric
    from t0dspy.flywheel.pull.pull import pull as pull
    from t0dspy.flywheel.retrain.results import RetrainOptions as RetrainOptions
    from t0dspy.flywheel.retrain.retrain import retrain as retrain
    from t0dspy.parity.verify import verify as verify
    from t0dspy.rollout.rollout import rollback as rollback
    from t0dspy.runtime.deploy import deploy as deploy

__version__ = version("t0dspy")

_HOMES = {
    "CompileError": "t0dspy.errors",
    "EvaluateOptions": "t0dspy.flywheel.evaluate.evaluate",
    "ExportOptions": "t0dspy.exporting.options",
    "Metric": "t0dspy.flywheel.metrics",
    "RetrainOptions": "t0dspy.flywheel.retrain.results",
    "ServedAdapter": "t0dspy.compiler.adapters",
    "T0dspyError": "t0dspy.errors",
    "WireInequalityError": "t0dspy.errors",
    "agrees_with_feedback": "t0dspy.flywheel.builtin_metrics",
    "backward_grade": "t0dspy.flywheel.builtin_metrics",
    "deploy": "t0dspy.runtime.deploy",
    "evaluate": "t0dspy.flywheel.evaluate.evaluate",
    "exact_match": "t0dspy.flywheel.builtin_metrics",
    "export": "t0dspy.exporting.export",
    "pull": "t0dspy.flywheel.pull.pull",
    "retrain": "t0dspy.flywheel.retrain.retrain",
    "rollback": "t0dspy.rollout.rollout",
    "verify": "t0dspy.parity.verify",
}
"""Public name -> its module, which is imported on first use so that `import t0dspy` does not import DSPy."""

__all__ = [
    "CompileError",
    "EvaluateOptions",
    "ExportOptions",
    "Metric",
    "RetrainOptions",
    "ServedAdapter",
    "T0dspyError",
    "WireInequalityError",
    "__version__",
    "agrees_with_feedback",
    "backward_grade",
    "deploy",
    "evaluate",
    "exact_match",
    "export",
    "pull",
    "retrain",
    "rollback",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 't0dspy' has no attribute {name!r}")
    if _HOMES[name] != "t0dspy.errors":
        import_module("t0dspy.program.dspy_version").check_dspy()
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
