"""An exported program as it stands on disk; no DSPy is needed to read it."""

import os
from pathlib import Path

from t0dspy.artifact import bundle
from t0dspy.artifact.bundle import MANIFEST
from t0dspy.artifact.manifest import Manifest, parse_manifest
from t0dspy.artifact.names import check_program_name, differs_in_case_only
from t0dspy.errors import BundleError


def program_directory(configs: Path, name: str) -> Path:
    """Return the directory of the program `name` below `configs`: the only place that makes a path of a name.

    Raises:
        SettingsError: `name` is not the name of a program.
        BundleError: the directory is a link, or there is only one whose name differs in case.
    """
    programs = configs / "programs"
    directory = programs / check_program_name(name)
    bundle.check_place(directory)
    other = differs_in_case_only(name, os.listdir(programs)) if programs.is_dir() else None
    if other is not None and (not directory.exists() or directory.samefile(programs / other)):
        raise BundleError(f"{programs} has no program {name!r}, but {other!r}. Upper and lower case are different.")
    return directory


def program_directories(configs: Path) -> list[Path]:
    """Return the directories below `configs` that hold an exported program, sorted by name.

    Links are left out: the gateway's config glob does not follow them.
    """
    found = (path.parent for path in (configs / "programs").glob(f"*/{MANIFEST}"))
    return sorted(directory for directory in found if not directory.is_symlink())


def read_program(directory: Path) -> tuple[Manifest, dict[str, str]]:
    """The manifest and all files of the exported program at `directory`.

    Raises:
        BundleError: there is none, or it cannot be read.
    """
    files = bundle.read_tree(directory)
    if MANIFEST not in files:
        there = sorted(path.parent.name for path in directory.parent.glob(f"*/{MANIFEST}"))
        hint = f"there are {', '.join(there)}" if there else "nothing is exported yet; see `t0dspy export --help`"
        raise BundleError(f"no exported program {directory.name!r} in {directory.parent}: {hint}.")
    return parse_manifest(files[MANIFEST], str(directory / MANIFEST)), files
