"""Deploy the predictors of a program object."""

from collections.abc import Collection

import dspy

from t0dspy.compiler.introspect import modules_of
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
    paths = {id(predict): path for path, predict in program.named_predictors()}
    for location, module in modules_of(program):
        path = location.removeprefix("self.")
        if id(module) in paths and isinstance(module, dspy.Predict):
            hook(module, deployment, bind_predictor(paths[id(module)], module))
        elif path in kept:
            hook(module, deployment, Bound(path))
    if not isinstance(program, dspy.Predict) and "self" not in kept:
        hook(program, deployment, None)
