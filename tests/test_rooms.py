"""Who may import whom, and what a start costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import t0dspy

SOURCE = Path(t0dspy.__file__).parent
LEAVES = {
    "errors",
    "settings",
    "model",
    "names",
    "bundle",
    "gateway",
    "interrupts",
    "warehouse",
    "manifest",
    "replacing",
    "shape",
    "testing",
    "program_failures",
}
DOORS = {"gateway", "warehouse", "bundle"}
HEAVY = {"dspy", "tensorzero", "chdb", "pyarrow", "clickhouse_connect", "numpy", "scipy"}


def rooms_imported_by(room: str) -> set[str]:
    files = [SOURCE / f"{room}.py"] if (SOURCE / f"{room}.py").exists() else sorted((SOURCE / room).rglob("*.py"))
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    names = {one.name for node in nodes if isinstance(node, ast.Import) for one in node.names}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{one.name}" for one in node.names}
    return {name.split(".")[1] for name in names if name.startswith("t0dspy.")} - {room}


def test_imports_point_one_way() -> None:
    """Nothing imports the command line, the compiler opens no door, and leaves import leaves alone."""
    rooms = {path.stem for path in SOURCE.iterdir() if path.suffix == ".py" or path.is_dir()} - {"__init__"}
    imports = {room: rooms_imported_by(room) & rooms for room in rooms}
    assert [room for room in rooms if "cli" in imports[room]] == []
    assert imports["compiler"] & (DOORS | {"parity", "exporting"}) == set()
    for leaf in LEAVES & rooms:
        assert imports[leaf] <= LEAVES, leaf


@pytest.mark.parametrize(
    "start", ["import t0dspy", "import sys; sys.argv = ['t0dspy', '--help']; from t0dspy.cli import main; main()"]
)
def test_starting_loads_nothing_heavy(start: str) -> None:
    """`import t0dspy` and `t0dspy --help` load neither DSPy nor the gateway nor the database."""
    code = f"import atexit, sys\natexit.register(lambda: sys.stderr.write(' '.join(sys.modules)))\n{start}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stderr.split()) & HEAVY == set()
