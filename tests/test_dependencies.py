"""Each package that the code imports is declared in pyproject.toml."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parent.parent
OURS = {"t0dspy", "chdb_http", "localkit"}


def imported() -> Iterator[str]:
    """The top-level names that modules below toolkit/ import, at their top or inside a function."""
    for file in (ROOT / "toolkit").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node.module.partition(".")[0]


def normalize(name: str) -> str:
    """The name of a distribution as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_import_is_declared() -> None:
    """A package that another one happens to bring may be gone with that one's next release."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    users = {name: needs for name, needs in project["optional-dependencies"].items() if name != "dev"}
    declared = [*project["dependencies"], *(need for needs in users.values() for need in needs)]
    names = {normalize(re.match(r"[\w.-]+", need)[0]) for need in declared}  # type: ignore[index]
    distributions = packages_distributions()
    modules = set(imported()) - OURS - sys.stdlib_module_names
    assert len(modules) > 15
    undeclared = {name for name in modules if not names & {normalize(one) for one in distributions.get(name, [name])}}
    assert undeclared == set()
