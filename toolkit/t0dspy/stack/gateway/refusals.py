"""What TensorZero says about a config, and what to do about it."""

import re
from pathlib import Path

_MISSING_KEY = re.compile(
    r"models\.(?P<model>.+?)\.providers\.(?P<provider>.+?): .*Environment variable `(?P<name>[^`]+)` is missing"
)


# Workaround (tensorzero 2026.6): a load that fails gives its reason only as text; remove when the error has a kind.
_NOT_THE_CONFIG = re.compile(
    r"ClickHouse(Connection|Query|Migration|Deserialization)\b|ClickHouse is not healthy|Error connecting to ClickHouse"
    r"|ClickHouse (at \S+ does not answer|refused a query)|No space left on device|Too many open files"
    r"|Read-only file system|NOT_ENOUGH_SPACE|Connection refused|dns error|error sending request"
)


def is_about_config(words: str) -> bool:
    """Return whether a gateway that did not load gives the config as the reason, not its database or the machine."""
    return _NOT_THE_CONFIG.search(words) is None


def config_refused(configs: Path, words: str) -> str:
    """One message for a config that the gateway does not take, with TensorZero's own words."""
    missing = _MISSING_KEY.search(words)
    if missing:
        return (
            f"The environment variable {missing['name']} is not set, and the model {missing['model']!r} (provider "
            f"{missing['provider']!r}) in {configs} wants it. Set it and start again. TensorZero says: {words}"
        )
    return f"TensorZero does not take the config in {configs}: {words}"
