"""Stdout holds the result and nothing else, whatever the embedded gateway logs."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

EXPORT = ("export", "review:program", "--name", "review", "--model", "openai::gpt-4o-mini", "--json")
TOOL = str(Path(sys.executable).with_name("t0dspy"))
NOISY = "tensorzero_core=trace,debug"
LIBRARY = """
import json, t0dspy
result = t0dspy.export("review:program", "configs", name="review", model="openai::gpt-4o-mini", dry_run=True)
print(json.dumps({"equal": result.parity.equal}))
"""


@pytest.mark.usefixtures("shop")
def test_the_engines_log_is_not_a_result(tool: Callable[..., Any]) -> None:
    """With RUST_LOG set, `--json` prints one document, and the log is on stderr."""
    ran = tool(*EXPORT, RUST_LOG=NOISY)
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["parity"]["equal"]
    assert "tensorzero" in ran.err, "who asked for the log reads it on stderr"
    ran = tool("verify", "review", "--inputs", "1", "--json", RUST_LOG="error")
    assert (ran.code, json.loads(ran.out)["equal"]) == (0, True)


@pytest.mark.usefixtures("shop")
def test_a_library_user_keeps_stdout_too() -> None:
    """In a process of the user's own, stdout holds what that process prints."""
    done = subprocess.run(
        [sys.executable, "-c", LIBRARY],
        env={**os.environ, "RUST_LOG": NOISY},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == {"equal": True}


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "1>&- 2>&-"])
def test_closed_streams_do_no_harm(closed: str) -> None:
    """A closed descriptor is not taken over by a file that the log would then be written into."""
    line = f"{TOOL} {' '.join(EXPORT)} --dry-run {closed}"
    done = subprocess.run(
        ["sh", "-c", line], env={**os.environ, "RUST_LOG": NOISY}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    if "1" not in closed:
        assert json.loads(done.stdout)["written"] is False
