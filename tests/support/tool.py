"""The command line as a user meets it."""

from typing import NamedTuple


class Ran(NamedTuple):
    """What a run of the tool printed, and its exit code."""

    code: int
    out: str
    err: str
