"""Killed at any step, either the old or the new traffic serves, and whoever comes next says so and finishes it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from support.killing import kill_at_every_step
from support.rollout import Project
from support.stack import wait_until
from t0dspy.artifact.exported import ExportedProgram
from t0dspy.rollout.apply import Place
from t0dspy.rollout.pending import Journal, config_files
from t0dspy.rollout.restore import restore
from t0dspy.rollout.rollout import apply_all, finish, set_traffic, undo
from t0dspy.rollout.served import read_served

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the child writes, asks and dies

OUTWARD = frozenset({"os.kill", "socket.connect"})
"""Steps beyond the disk: the signal to the stack, and each question to the gateway."""
STRIDE = 1 if "T0DSPY_TEST_EVERY_STEP" in os.environ else 7
FUNCTIONS = ("tales", "tales__plan", "tales__write")


@pytest.fixture(autouse=True)
def _no_waiting_for_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill loses nothing that was written, durable or not."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def serving(place: Place) -> set[str]:
    """The versions that the program and its stages serve; more than one would be a mix."""
    config = read_served(place.gateway_url, place.clickhouse_url).config
    assert config is not None
    entries = [config["functions"][name]["experimentation"]["candidate_variants"] for name in FUNCTIONS]
    return {version for entry in entries for version in entry}


def kill_and_finish(project: Project, action: Callable[[Place], object], prepare: Callable[[Place], object]) -> int:
    """Kill `action` at its steps, from the state that `prepare` makes; returns how often something was left to finish.

    After each kill v1 or v2 serves, and after `finish` what is written is served.
    """
    place, left = project.place, 0
    set_traffic(place, "tales", {"v1": 1.0}, applying=True)
    set_traffic(place, "tales", {"v2": 1.0}, applying=True)
    saved = project.directory / "saved"
    shutil.copytree(project.configs, saved)
    prepare(place)
    try:
        for number in kill_at_every_step(lambda: action(place), OUTWARD, STRIDE):
            assert serving(place) in ({"v1"}, {"v2"}), f"killed at step {number}"
            pending = Journal(place.configs).read_pending()
            notes: list[str] = project.said_notes
            notes.clear()
            finish(place)
            assert Journal(place.configs).read_pending() is None
            if pending is not None:
                left += 1
                assert "was interrupted before the gateway confirmed it; finishing it now." in notes[0]
                program = ExportedProgram.read(place.configs, "tales")
                assert serving(place) == set(program.shares), f"killed at step {number}"
            _put_back(project, place, saved)
            prepare(place)
    finally:
        shutil.rmtree(saved)
    return left


def _put_back(project: Project, place: Place, saved: Path) -> None:
    shutil.rmtree(project.configs)
    shutil.copytree(saved, project.configs)
    apply_all(place)
    assert serving(place) == {"v2"}


def test_a_killed_rollback_is_finished(project: Project) -> None:
    """At every step: writing its intention, the files, asking the gateway, noting the end."""
    assert kill_and_finish(project, lambda place: undo(place, "tales"), lambda place: None) > 0
    set_traffic(project.place, "tales", {"v2": 1.0}, applying=True)
    assert serving(project.place) == {"v2"}


def test_a_killed_apply_is_finished(project: Project) -> None:
    """A file that was written ahead, and an apply that died on the way."""
    prepare = lambda place: set_traffic(place, "tales", {"v1": 1.0}, applying=False)  # noqa: E731
    assert kill_and_finish(project, apply_all, prepare) > 0


def test_a_killed_putting_back_is_finished(project: Project) -> None:
    """The gateway refused, and the command died while it put the old files back."""
    good = (project.configs / "tensorzero.toml").read_text()

    def prepare(place: Place) -> None:
        set_traffic(place, "tales", {"v1": 1.0}, applying=False)
        (place.configs / "tensorzero.toml").write_text(good + "\n[models.broken]\nrouting = ['nobody']\n")

    def refused(place: Place) -> None:
        with pytest.raises(Exception, match="The old files are back, and the gateway serves them"):
            apply_all(place)

    assert kill_and_finish(project, refused, prepare) > 0
    apply_all(project.place)
    assert serving(project.place) == {"v2"}


def test_a_restore_that_is_killed_goes_on(project: Project) -> None:
    """Cut off anywhere and done again, the files are the old ones, and what was refused is kept."""
    configs = project.configs
    old = config_files(configs)
    saved = project.directory / "saved"
    (configs / "tensorzero.toml").write_text("refused = 1\n")
    (configs / "new.toml").write_text("new = 1\n")
    (configs / "programs/question/v3/variant.toml").unlink()
    set_traffic(project.place, "question", {"v2": 1.0}, applying=False)
    shutil.copytree(configs, saved)
    for _ in kill_at_every_step(lambda: restore(configs, old, "t", "why")):
        restore(configs, old, "t", "why")
        now = config_files(configs)
        assert {name: text for name, text in now.items() if not name.endswith("manifest.json")} == {
            name: text for name, text in old.items() if not name.endswith("manifest.json")
        }
        assert (configs / "tensorzero.toml.refused").read_text() == "refused = 1\n"
        assert (configs / "new.toml.refused").read_text() == "new = 1\n"
        assert ExportedProgram.read(configs, "question").manifest.history[-1].reason == "put back: why"
        assert ExportedProgram.read(configs, "question").shares == {"v1": 1.0}
        shutil.rmtree(configs)
        shutil.copytree(saved, configs)
    shutil.rmtree(saved)


def test_a_stack_that_starts_finishes(project: Project, migrated: Path, tmp_path: Path) -> None:
    """It serves what is written, says that this was waited for, and puts a half-done putting back in order."""
    place = project.place
    shutil.copytree(migrated, tmp_path / "data", symlinks=True)
    shutil.copytree(project.configs, tmp_path / "configs")
    shutil.copytree(project.directory / ".t0dspy", tmp_path / ".t0dspy")
    for _ in kill_at_every_step(lambda: undo(place, "question", "v2"), OUTWARD):
        if ExportedProgram.read(project.configs, "question").shares == {"v2": 1.0}:
            break
    assert Journal(place.configs).read_pending() is not None
    for name in ("configs", ".t0dspy"):
        shutil.rmtree(tmp_path / name)
        shutil.copytree(project.directory / name, tmp_path / name)
    with Project(tmp_path, upstream=None) as stack:  # type: ignore[arg-type]
        stack.start()
        said = stack.wait_said("`rollback question` was interrupted before the gateway confirmed it")
        assert "the gateway serves it now." in said
        wait_until(lambda: Journal(stack.configs).read_pending() is None)
        served = read_served(stack.url, stack.urls["clickhouse"] + "/tensorzero")
        assert served.shares(ExportedProgram.read(stack.configs, "question").manifest) == {"v2": 1.0}
        record = Journal(stack.configs).read_served()
        assert record is not None
        assert record.config_hash == stack.status()["config_hash"]
        assert stack.stop() == 0
