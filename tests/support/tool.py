"""The command line as a user meets it."""

from collections.abc import Callable
from typing import Any, NamedTuple


class Ran(NamedTuple):
    """What a run of the tool printed, and its exit code."""

    code: int
    out: str
    err: str


Run = Callable[..., Any]
"""The fixture `run`: runs the tool in this process."""
