"""Who may import whom, the page that says it, and what a start costs."""

import ast
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parent.parent
TOOLKIT = ROOT / "toolkit"
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
HEAVY = {"dspy", "tensorzero", "chdb", "pyarrow", "clickhouse_connect", "numpy", "scipy"}


def test_imports_obey_the_contracts() -> None:
    """Each package imports only packages of the layers below it, as `[tool.importlinter]` in pyproject.toml says."""
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True, no_logo=True) == 0


def test_the_page_has_the_layers_of_the_contracts() -> None:
    """The tables of docs/architecture.md equal the contracts; each module has a sentence."""
    write = runpy.run_path(str(ROOT / "docs/write.py"))
    assert write["architecture_page"](PAGE) == PAGE, "run `make docs`"
    assert "|  |\n" not in PAGE


def test_each_package_is_on_the_page() -> None:
    """A package is in a table of layers, or named by its path."""
    layers = runpy.run_path(str(ROOT / "docs/write.py"))["layers"]().values()
    listed = {"/".join([*container.split("."), name]).strip("/") for container, rows in layers for name in chain(*rows)}
    present = {path.parent.relative_to(TOOLKIT).as_posix() for path in TOOLKIT.rglob("__init__.py")}
    assert present - listed - {path.rstrip("/") for path in _paths(PAGE)} == set()


def test_each_path_on_the_page_exists() -> None:
    """Paths are files or folders below toolkit/, or below the root."""
    paths = list(_paths(PAGE))
    assert len(paths) > 50
    assert [path for path in paths if not (TOOLKIT / path).exists() and not (ROOT / path).exists()] == []


def test_each_function_on_the_page_exists() -> None:
    """A function or class is defined in the file that the page names before it."""
    named = [(path, name) for line in PAGE.splitlines() for path, name in _functions(line)]
    assert len(named) > 50
    assert [(path, name) for path, name in named if name not in _definitions(path)] == []


@pytest.mark.parametrize(
    "start", ["import t0dspy", "import sys; sys.argv = ['t0dspy', '--help']; from t0dspy.cli import main; main()"]
)
def test_starting_loads_nothing_heavy(start: str) -> None:
    """`import t0dspy` and `t0dspy --help` load neither DSPy nor the gateway nor the database."""
    code = f"import atexit, sys\natexit.register(lambda: sys.stderr.write(' '.join(sys.modules)))\n{start}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stderr.split()) & HEAVY == set()


def _paths(text: str) -> Iterator[str]:
    yield from re.findall(r"`((?:t0dspy|chdb_http|localkit|tests|docs)/[\w./]*)`", text)


def _functions(line: str) -> Iterator[tuple[str, str]]:
    """The (file, function) pairs of a line: each `name()` belongs to the last file named before it, if there is one."""
    path = ""
    for span in re.findall(r"`([^`]*)`", line):
        if span in list(_paths(f"`{span}`")) and span.endswith(".py"):
            path = span
        elif path and re.fullmatch(r"[\w.]+\(\)", span):
            yield path, span.removesuffix("()")


def _definitions(path: str) -> set[str]:
    """The functions and classes of a module, and the methods as `Class.method`."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    module = ast.parse((TOOLKIT / path).read_text(encoding="utf-8"))
    found = [node for node in module.body if isinstance(node, kinds)]
    methods = {f"{node.name}.{one.name}" for node in found for one in node.body if isinstance(one, kinds)}
    return {node.name for node in found} | methods
