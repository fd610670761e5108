"""`t0dspy init`: what a project needs, beside what is there."""

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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be written; write nothing.")] = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Write settings, a base config for TensorZero and a metric stub into a project.

    What is there is never touched: a file that exists, or settings in pyproject.toml, is left as it is and named.

    Example: t0dspy init my_project
    """
    from t0dspy import scaffold

    found = scaffold.plan(directory)
    if not dry_run:
        scaffold.write(found)
    if json:
        output.print_json({"files": sorted(found.files), "kept": list(found.kept), "written": not dry_run})
    elif not quiet:
        _print(found, "would write" if dry_run else "wrote")


def _print(found: "Scaffold", wrote: str) -> None:
    for path in sorted(found.files):
        print(f"{wrote} {found.directory / path}")
    for why in found.kept:
        print(f"kept  {why}")
    if "t0dspy.toml" in found.files:
        print("\nNext: fill in the lines of t0dspy.toml that say so; then `t0dspy export NAME`.")
