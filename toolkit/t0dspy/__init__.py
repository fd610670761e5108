"""Take an optimized DSPy program to production on a TensorZero gateway, prompt for prompt."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from t0dspy.errors import T0dspyError as T0dspyError

__version__ = version("t0dspy")

_HOMES = {
    "T0dspyError": "t0dspy.errors",
}
"""Public name -> the module it lives in. Loaded on first use, so that `import t0dspy` stays quick without dspy."""

__all__ = ["T0dspyError", "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 't0dspy' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
