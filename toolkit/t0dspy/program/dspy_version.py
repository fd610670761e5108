"""The check that the installed DSPy is one whose prompts this t0dspy knows."""

from importlib.metadata import PackageNotFoundError, version

from t0dspy.errors import SettingsError

SUPPORTED = ">=3.4,<3.5"
"""As in our own requirements; DSPy's prompt text changes between minor versions."""
_MINOR = "3.4."


def check_dspy() -> None:
    """Check that a supported DSPy is installed, before anything imports it.

    Raises:
        SettingsError: it is another version, or none; says which, and what to install.
    """
    installed = installed_dspy()
    if installed is None:
        raise SettingsError(f"DSPy is not installed. Install it: pip install 'dspy{SUPPORTED}'")
    if not f"{installed}.".startswith(_MINOR):
        raise SettingsError(
            f"DSPy {installed} is installed, and this t0dspy needs dspy{SUPPORTED}, because prompts change between "
            f"minor versions of DSPy. Install it: pip install 'dspy{SUPPORTED}'"
        )


def installed_dspy() -> str | None:
    """Return the version of DSPy that is installed; None without one."""
    try:
        return version("dspy")
    except PackageNotFoundError:
        return None


def is_same_minor(one: str, other: str) -> bool:
    """Return whether two versions of DSPy write the same prompts: they differ in their last number at most."""
    return one.split(".")[:2] == other.split(".")[:2]
