"""Check the names of programs and versions; a name is never a path."""

import re
from collections.abc import Iterable

from t0dspy.errors import SettingsError

LONGEST = 100
"""Characters of a program's name: the longest file name made of it must fit into the 255 bytes of a file system."""

_PROGRAM = re.compile(r"[A-Za-z](?:_?[A-Za-z0-9])*_?", re.ASCII)
_VERSION = re.compile(r"v[1-9][0-9]{0,8}", re.ASCII)
_RULE = "ASCII letters, digits and single underscores, a letter first"
_SHOWN = 60


def is_program_name(name: str) -> bool:
    """Return whether a program can have this `name`."""
    return len(name) <= LONGEST and _PROGRAM.fullmatch(name) is not None


def check_program_name(name: str, origin: str = "") -> str:
    """Return `name` if it is the name of a program.

    Args:
        name: from the command line, a caller, or a file.
        origin: the place that the name was read from, for the error; empty for an argument.

    Raises:
        SettingsError: it is not a name.
    """
    if not is_program_name(name):
        place = f"{origin}: " if origin else ""
        raise SettingsError(
            f"{place}{quoted(name)} is not the name of a program: a name has {_RULE}, at most {LONGEST} characters, "
            "and is never a path."
        )
    return name


def check_version_name(version: str, origin: str) -> str:
    """Return `version` if it is spelled like a version, such as `v2`.

    Raises:
        SettingsError: it is not; `origin` is the place that it was read from.
    """
    if not _VERSION.fullmatch(version):
        raise SettingsError(f"{origin}: {quoted(version)} is not a version, such as v2.")
    return version


def quoted(name: str) -> str:
    """Return `name` for a message: cut to a line, with everything escaped that ASCII does not show."""
    return ascii(name) if len(name) <= _SHOWN else f"{name[:_SHOWN]!a}... ({len(name)} characters)"


def differs_in_case_only(name: str, present: Iterable[str]) -> str | None:
    """Return the name among `present` that a disk which ignores case would take for `name`; None without one."""
    return next((other for other in present if other != name and other.lower() == name.lower()), None)
