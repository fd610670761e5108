"""Name functions: readable, unique, and the same for the same predictor in every version."""

import re
from collections.abc import Mapping

from t0dspy.artifact.names import LONGEST, is_program_name, quoted
from t0dspy.errors import SettingsError


def validate_name(name: str) -> str:
    """Return `name` if it is a valid name of a program.

    Raises:
        SettingsError: if it has other characters than ASCII letters, digits and single underscores, or is too long.
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
    """Return a readable name for the predictor that DSPy calls `path`; it may not be unique yet.

    `steps[0].predict` is `steps_0`, `d['k']` is `d_k`; a program that is a single predictor has the slug `predictor`.
    """
    path = re.sub(r"(^|\.)(predict|self)$", "", path)
    text = "".join(char if char.isascii() else f"_{ord(char):x}_" for char in path)
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "predictor"


def function_name(program: str, path: str, fingerprint: str, taken: Mapping[str, tuple[str, str]]) -> str:
    """Return the name of the function for the predictor `path` of `program` whose contract has `fingerprint`.

    Args:
        program: the program's name.
        path: DSPy's name of the predictor.
        fingerprint: the fingerprint of its contract; another contract needs another function.
        taken: function -> (path, fingerprint) of every function that the program ever had.
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
