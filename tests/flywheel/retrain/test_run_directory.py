"""A retrain resumes after a kill, runs alone, and does nothing twice."""

import subprocess
import sys

import pytest
from filelock import FileLock

from support.looped import CAREFUL, Project
from support.retraining import account
from support.scripted import stopping
from support.served import APPS, Served
from t0dspy.errors import OptimizeError, RetrainError
from t0dspy.flywheel.metrics import Metric
from t0dspy.testing import ScriptedUpstream


def test_nothing_new_is_not_done_twice(shop: Project, task: ScriptedUpstream) -> None:
    """The same data, incumbent and settings cost no call; another option does."""
    shop.settings(min_improvement=0.9)
    assert shop.retrain().outcome == "kept"
    asked = len(task.requests)
    again = shop.retrain()
    assert (again.outcome, again.directory) == ("nothing to do", None)
    assert again.reason.startswith("nothing new since the run")
    assert len(task.requests) == asked
    assert shop.retrain(seed=10).outcome == "kept"


def test_another_metric_is_news(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same name, and other code behind it."""
    shop.settings(min_improvement=0.9)
    assert shop.retrain().outcome == "kept"
    assert shop.retrain().outcome == "nothing to do"
    monkeypatch.setattr(Metric, "source", "def grade(): stricter from here on")
    assert shop.retrain().outcome == "kept"


KILLED = """
import sys
sys.path.insert(0, {apps!r})
import shouting, t0dspy
t0dspy.retrain(
    "shout", t0dspy.RetrainOptions(verify=False, threads=1), configs={configs!r}, clickhouse_url={database!r},
    progress=shouting.die_at({stage!r}),
)
"""


def test_killed_at_any_stage_it_goes_on_to_the_same_result(
    shop: Project, looped: Served, task: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Configs are untouched by the kill; the resumed run asks for what is missing alone, and makes the same version."""
    whole = shop.retrain(threads=1)
    asked, version = len(task.requests), shop.manifest()["versions"]["v2"]
    stages = ["curating", "the incumbent on", "bootstrapping", "proposing", "trial 3", "v1 on the holdout", "exporting"]
    for stage in stages:
        directory = tmp_path_factory.mktemp("killed")
        other = Project(directory, looped, task)
        before = other.tree()
        task.requests.clear()
        code = KILLED.format(apps=str(APPS), configs=str(other.configs), database=other.database, stage=stage)
        done = subprocess.run([sys.executable, "-c", code], cwd=directory, capture_output=True, text=True, timeout=120)
        assert done.returncode == 9, (stage, done.stderr)
        reserved = account(other)
        assert len(reserved) == (stage in ("v1 on the holdout", "exporting")), stage
        assert other.tree() == before, stage
        found = other.retrain(resume=True, threads=1)
        assert found.resumed
        assert (found.outcome, found.version) == (whole.outcome, whole.version)
        resumed = other.manifest()["versions"]["v2"]
        assert resumed["content_hash"] == version["content_hash"], stage
        assert resumed["scores"] == version["scores"], stage
        assert [each["outcome"] for each in account(other)] == ["promote"], stage
        assert len(task.requests) <= asked + 2, stage


def test_two_at_once_never(shop: Project) -> None:
    """The second one is told."""
    (shop.directory / ".t0dspy/retrain/shout").mkdir(parents=True)
    with FileLock(shop.directory / ".t0dspy/retrain/shout/lock"), pytest.raises(RetrainError, match="another retrain"):
        shop.retrain()


def test_a_run_that_began_otherwise_does_not_go_on(shop: Project, task: ScriptedUpstream) -> None:
    """With other settings a new one begins, and says so; without a cut-off run `--resume` begins one too."""
    task.script = stopping(CAREFUL, 40)
    with pytest.raises(OptimizeError):
        shop.retrain(resume=True)
    task.script = CAREFUL
    found = shop.retrain(resume=True, seed=4)
    assert (found.outcome, found.resumed) == ("promoted", False)
    assert "other settings" in found.notes[0]
