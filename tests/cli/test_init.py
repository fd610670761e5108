"""`t0dspy init` as a user types it."""

import json
from collections.abc import Callable
from pathlib import Path

from support.tool import Ran


def test_init_says_what_it_did(project: Path, run: Callable[..., Ran]) -> None:
    """What was written, then what was kept; nothing at all with --quiet."""
    first, second, third = run("init"), run("init"), run("init", "--quiet")
    files = [".t0dspy/.gitignore", "configs/tensorzero.toml", "metric.py", "t0dspy.toml"]
    assert first.out.splitlines()[:4] == [f"wrote {file}" for file in files]
    assert second.out.splitlines() == [
        "kept  t0dspy.toml is there",
        "kept  configs/tensorzero.toml is there",
        "kept  metric.py is there",
    ]
    assert third == Ran(0, "", "")


def test_a_dry_run_writes_nothing(project: Path, run: Callable[..., Ran]) -> None:
    """The same lines, and an empty directory."""
    said = run("init", "there", "--dry-run")
    assert "would write there/t0dspy.toml" in said.out
    assert list(project.iterdir()) == []
    assert json.loads(run("init", "--dry-run", "--json").out) == {
        "files": [".t0dspy/.gitignore", "configs/tensorzero.toml", "metric.py", "t0dspy.toml"],
        "kept": [],
        "written": False,
    }


def test_a_placeholder_is_refused_with_its_name(project: Path, run: Callable[..., Ran]) -> None:
    """Exporting before the settings are filled in says what is missing."""
    run("init")
    said = run("export", "my_program")
    assert said.code == 1
    assert "app" in said.err
