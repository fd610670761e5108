"""What TensorZero says about a config, and what to do about it."""

import re
from pathlib import Path

_MISSING_KEY = re.compile(
    r"models\.(?P<model>.+?)\.providers\.(?P<provider>.+?): .*Environment variable `(?P<name>[^`]+)` is missing"
)


def config_refused(configs: Path, words: str) -> str:
    """One message for a config that the gateway does not take, with TensorZero's own words."""
    missing = _MISSING_KEY.search(words)
    if missing:
        return (
            f"The environment variable {missing['name']} is not set, and the model {missing['model']!r} (provider "
            f"{missing['provider']!r}) in {configs} wants it. Set it and start again. TensorZero says: {words}"
        )
    return f"TensorZero does not take the config in {configs}: {words}"
