"""An exported program as it stands on disk; no DSPy is needed to read it."""

from pathlib import Path

from t0dspy import bundle
from t0dspy.bundle import MANIFEST
from t0dspy.errors import BundleError
from t0dspy.manifest import Manifest, parse_manifest


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
