"""`t0dspy init`: add the files that a project needs, and leave existing files alone."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from t0dspy.cli import options, output

if TYPE_CHECKING:
    from t0dspy.scaffold import Scaffold


def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Your project (default: the working directory).")] = (
        Path()
    ),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the files without writing them.")] = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Write settings, a base config for TensorZero and a metric stub into a project.

    Existing files, and settings in pyproject.toml, are never changed. The command lists what it kept.

    Example: t0dspy init my_project
    """
    from t0dspy import scaffold

    planned = scaffold.plan(directory)
    if not dry_run:
        scaffold.write(planned)
    if json:
        output.print_json({"files": sorted(planned.files), "kept": list(planned.kept), "written": not dry_run})
    elif not quiet:
        _print(planned, "would write" if dry_run else "wrote")


def _print(planned: "Scaffold", verb: str) -> None:
    for path in sorted(planned.files):
        print(f"{verb} {planned.directory / path}")
    for reason in planned.kept:
        print(f"kept  {reason}")
    if "t0dspy.toml" in planned.files:
        print("\nNext: fill in the marked lines of t0dspy.toml, then run `t0dspy export NAME`.")
