"""Check that the installed version of DSPy is supported."""

from importlib.metadata import PackageNotFoundError, version

from t0dspy.errors import SettingsError

SUPPORTED = ">=3.4,<3.5"
"""The same as in pyproject.toml. DSPy's prompt text changes between minor versions."""
_MINOR = "3.4."


def check_dspy() -> None:
    """Check that a supported DSPy is installed, before anything imports it.

    Raises:
        SettingsError: if DSPy is missing or has another version.
    """
    installed = installed_dspy()
    if installed is None:
        raise SettingsError(f"DSPy is not installed. Install it: pip install 'dspy{SUPPORTED}'")
    if not f"{installed}.".startswith(_MINOR):
        raise SettingsError(
            f"DSPy {installed} is installed, but this version of t0dspy needs dspy{SUPPORTED}, because prompts change "
            f"between minor versions of DSPy. Install it: pip install 'dspy{SUPPORTED}'"
        )


def installed_dspy() -> str | None:
    """Return the version of the installed DSPy, or None if DSPy is not installed."""
    try:
        return version("dspy")
    except PackageNotFoundError:
        return None


def is_same_minor(version_a: str, version_b: str) -> bool:
    """Return whether two versions of DSPy write the same prompts, because they differ only in the patch number."""
    return version_a.split(".")[:2] == version_b.split(".")[:2]
