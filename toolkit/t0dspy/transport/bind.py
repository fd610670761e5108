"""Deploy the predictors of a program object."""

from collections.abc import Collection

import dspy

from t0dspy.compiler.keep import paths_of
from t0dspy.transport.dspy34 import install
from t0dspy.transport.hooks import Deployment, hook
from t0dspy.transport.inputs import Bound, bind_predictor


def bind(program: dspy.Module, deployment: Deployment, kept: Collection[str] = ()) -> None:
    """Deploy `program` and its predictors in place.

    Args:
        program: the live program.
        deployment: begins the runs.
        kept: the paths of modules that versions of the program keep in Python.

    Raises:
        RunError: the installed version of DSPy is not supported.
    """
    install()
    listed = dict(program.named_predictors())
    for path, module in paths_of(program).items():
        if isinstance(module, dspy.Predict) and path in listed:
            hook(module, deployment, bind_predictor(path, module))
        elif path in kept:
            hook(module, deployment, Bound(path))
    if not isinstance(program, dspy.Predict) and "self" not in kept:
        hook(program, deployment, None)
