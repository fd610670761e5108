"""Names of functions: readable, free of collisions, and the same for the same predictor from version to version."""

import re
from collections.abc import Mapping

from t0dspy.artifact.names import LONGEST, is_program_name, quoted
from t0dspy.errors import SettingsError


def checked_name(name: str) -> str:
    """`name`, if a program can be called so.

    Raises:
        SettingsError: it holds something else than ASCII letters, digits and single underscores, or is too long.
    """
    if not is_program_name(name):
        hint = re.sub(r"[^a-z0-9]+", "_", name.lower())[: LONGEST // 2].strip("_") or "program"
        hint = hint if hint[0].isalpha() else f"program_{hint}"
        raise SettingsError(
            f"program name {quoted(name)}: use ASCII letters, digits and single underscores, a letter first, "
            f"at most {LONGEST} characters, such as --name {hint}. "
            "(Two underscores separate a program from its predictors.)"
        )
    return name


def slug(path: str) -> str:
    """A readable name for the predictor that DSPy calls `path`; not yet free of collisions.

    `steps[0].predict` is `steps_0`, `d['k']` is `d_k`; a program that is one predictor has the slug `predictor`.
    """
    path = re.sub(r"(^|\.)(predict|self)$", "", path)
    text = "".join(char if char.isascii() else f"_{ord(char):x}_" for char in path)
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "predictor"


def function_name(program: str, path: str, fingerprint: str, taken: Mapping[str, tuple[str, str]]) -> str:
    """The function that holds the predictor `path` of `program` while its contract has `fingerprint`.

    Args:
        program: the program's name.
        path: DSPy's name of the predictor.
        fingerprint: of its contract; another contract needs another function.
        taken: function -> (path, fingerprint) of every function the program ever had.
    """
    for name, owner in taken.items():
        if owner == (path, fingerprint):
            return name
    base = f"{program}__{slug(path)}"
    name, count = base, 1
    while name in taken:
        count += 1
        name = f"{base}_{count}"
    return name
