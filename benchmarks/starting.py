"""How long a user waits for `t0dspy --help`."""

import subprocess
import sys
from pathlib import Path

from benchmarks import Row, median_seconds, ratio


def measure() -> list[Row]:
    tool = str(Path(sys.executable).with_name("t0dspy"))
    help_ = median_seconds(lambda: _run(tool, "--help"), 9)
    typer = median_seconds(lambda: _run(sys.executable, "-c", "import typer"), 9)
    return [ratio('`t0dspy --help` against `python -c "import typer"`', help_, typer, 4)]


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
