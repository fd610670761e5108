"""Check that the packages of the extra `retrain` are installed before any work starts."""

from importlib.util import find_spec

from t0dspy.errors import SettingsError

_PARTS = ("numpy", "optuna", "jinja2")


def check_extra() -> None:
    """Check that the packages that evaluating and retraining need are installed.

    Raises:
        SettingsError: a package is missing; the message says how to install it.
    """
    missing = [name for name in _PARTS if find_spec(name) is None]
    if missing:
        raise SettingsError(f"{', '.join(missing)} is not installed. It comes with: pip install 't0dspy[retrain]'.")
