"""What the extra `retrain` brings, looked for before anything is begun."""

from importlib.util import find_spec

from t0dspy.errors import SettingsError

_PARTS = ("numpy", "optuna", "jinja2")


def check_extra() -> None:
    """Check that what evaluating and retraining need is installed.

    Raises:
        SettingsError: it is not; says how to install it.
    """
    missing = [name for name in _PARTS if find_spec(name) is None]
    if missing:
        raise SettingsError(f"{', '.join(missing)} is not installed. It comes with: pip install 't0dspy[retrain]'.")
