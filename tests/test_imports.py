"""Who may import whom, and what a start costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import t0dspy

ROOT = Path(t0dspy.__file__).parent.parent
LAYERS = (  # a package may import those of the lines above it, and nothing else of this project
    "localkit",
    "chdb_http",
    "errors model",
    "artifact warehouse",
    "settings gateway readiness scaffold",
    "stack.gateway",
    "stack.processes",
    "testing compiler",
    "program",
    "parity",
    "exporting runtime",
    "rollout",
    "flywheel",
    "flywheel.models flywheel.curate flywheel.pull",
    "flywheel.split flywheel.optimize",
    "flywheel.promotion",
    "flywheel.retrain",
    "flywheel.evaluate",
    "__init__",
    "cli",
)
KNOWN = {  # imports that are still to be turned around
    "localkit -> errors",
    "chdb_http -> errors",
    "flywheel -> flywheel.models",
    "flywheel -> flywheel.promotion",
    "stack.gateway -> stack.processes",
}
HEAVY = {"dspy", "tensorzero", "chdb", "pyarrow", "clickhouse_connect", "numpy", "scipy"}


def package_of(module: str) -> str:
    """The name in `LAYERS` of a module, such as `flywheel.pull` for `t0dspy.flywheel.pull.rows`."""
    first, *rest = module.split(".")
    if first != "t0dspy":
        return first
    if len(rest) > 1 and rest[0] in ("flywheel", "stack") and (ROOT / "t0dspy" / rest[0] / rest[1]).is_dir():
        return ".".join(rest[:2])
    return (
        rest[0]
        if rest and (ROOT / "t0dspy" / f"{rest[0]}.py").exists() | (ROOT / "t0dspy" / rest[0]).is_dir()
        else "__init__"
    )


def imported_by(file: Path) -> set[str]:
    """The packages of this project that a file imports, at its top or inside a function."""
    nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {package_of(module) for module in modules if module.split(".")[0] in ("t0dspy", "chdb_http", "localkit")}


def test_imports_point_one_way() -> None:
    """Each package imports only packages of the layers below it."""
    layer = {package: number for number, line in enumerate(LAYERS) for package in line.split()}
    upward = set()
    for file in ROOT.rglob("*.py"):
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        package = package_of(module)
        upward |= {f"{package} -> {other}" for other in imported_by(file) - {package} if layer[other] >= layer[package]}
    assert upward - KNOWN == set()


@pytest.mark.parametrize(
    "start", ["import t0dspy", "import sys; sys.argv = ['t0dspy', '--help']; from t0dspy.cli import main; main()"]
)
def test_starting_loads_nothing_heavy(start: str) -> None:
    """`import t0dspy` and `t0dspy --help` load neither DSPy nor the gateway nor the database."""
    code = f"import atexit, sys\natexit.register(lambda: sys.stderr.write(' '.join(sys.modules)))\n{start}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stderr.split()) & HEAVY == set()
