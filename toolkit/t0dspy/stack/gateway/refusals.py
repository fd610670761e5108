"""Interpret TensorZero's messages about a config."""

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


def is_about_config(message: str) -> bool:
    """Return whether a load failed because of the config, not because of the database or the machine."""
    return _NOT_THE_CONFIG.search(message) is None


def refusal_message(configs: Path, message: str) -> str:
    """Return the message for a config that the gateway refuses, which includes TensorZero's message."""
    missing = _MISSING_KEY.search(message)
    if missing:
        return (
            f"The environment variable {missing['name']} is not set, and the model {missing['model']!r} (provider "
            f"{missing['provider']!r}) in {configs} needs it. Set it and start again. TensorZero's message: {message}"
        )
    return f"TensorZero refuses the config in {configs}: {message}"
