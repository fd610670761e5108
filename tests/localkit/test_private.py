"""Files and directories with users' texts are their owner's alone, whatever the umask is."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from chdb_http import data_directory
from chdb_http.errors import ChdbHttpError
from localkit import private
from t0dspy.cli.pull import _open_lines
from t0dspy.errors import StackError
from t0dspy.flywheel.models.silence import redirect_output
from t0dspy.flywheel.retrain.run_directory import Home, write_text
from t0dspy.flywheel.split.set_state import SetState
from t0dspy.rollout.pending import Journal
from t0dspy.stack.processes import data_dir


@pytest.fixture(autouse=True, params=[0o000, 0o022])
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def open_to_others(root: Path) -> list[str]:
    """Files below `root` that others can read, because neither they nor a directory above them is closed."""
    files = [path for path in root.rglob("*") if path.is_file()]
    shut = {path for path in root.rglob("*") if path.is_dir() and not mode(path) & 0o077}
    return [str(path) for path in files if mode(path) & 0o077 and not shut & set(path.parents)]


def test_new_directories_and_their_parents_are_closed(tmp_path: Path) -> None:
    """Also those between an existing directory and the one that was asked for."""
    private.make(tmp_path / "a" / "b" / "c")
    assert {mode(tmp_path / one) for one in ("a", "a/b", "a/b/c")} == {0o700}


def test_only_our_own_are_tightened(tmp_path: Path) -> None:
    """An existing directory loses what others may do; one of another user's is left as it is."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d").chmod(0o755)
    private.make(tmp_path / "d")
    assert mode(tmp_path / "d") == 0o755, "make does not touch what is there"
    private.tighten(tmp_path / "d")
    assert mode(tmp_path / "d") == 0o700
    if os.geteuid() == 0:
        (tmp_path / "d").chmod(0o755)
        os.chown(tmp_path / "d", 12345, 12345)
        private.tighten(tmp_path / "d")
        assert mode(tmp_path / "d") == 0o755


def test_pulled_examples_are_private(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """A new file, one in place of a readable one, and one in place of a link, whose target stays as it was."""
    new, readable, link, target = (tmp_path / name for name in ("new", "readable", "link", "target"))
    for file in (readable, target):
        file.write_text("old")
        file.chmod(0o644)
    link.symlink_to(target)
    for out in (new, readable, link):
        with _open_lines(out) as write:
            write("user text")
            assert [mode(path) for path in tmp_path.glob(".*.partial")] == [0o600]
        assert (mode(out), out.read_text()) == (0o600, "user text\n")
    assert (mode(target), target.read_text()) == (0o644, "old")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "new", "readable", "target"]
    with _open_lines(None) as write:
        write("to stdout")
    assert capsysbinary.readouterr().out == b"to stdout\n"


def test_pulling_to_a_device_leaves_it_as_it_is() -> None:
    """`--out /dev/null` writes there."""
    before = mode(Path(os.devnull))
    with _open_lines(Path(os.devnull)) as write:
        write("text")
    assert mode(Path(os.devnull)) == before
    assert not Path(os.devnull).is_file()


def test_what_a_retrain_keeps_is_private(tmp_path: Path) -> None:
    """Sets, runs, reports and logs, also where an older version left them readable."""
    place = Home(tmp_path / ".t0dspy", "app")
    with place.lock():
        SetState({}).write(place.sets)
        log = place.directory / "runs" / "r" / "optimizer.log"
        write_text(log.with_name("report.html"), "text")
        log.touch(0o644)
        with redirect_output(log):
            print("user text")
        assert log.read_text() == "user text\n"
        for file in (place.sets, log, log.with_name("report.html")):
            assert mode(file) == 0o600
    assert open_to_others(tmp_path) == []
    place.directory.chmod(0o755)
    with place.lock():
        assert mode(place.directory) == 0o700


def test_what_an_apply_keeps_is_private(tmp_path: Path) -> None:
    """The record of what is served holds demos."""
    (tmp_path / "configs").mkdir()
    journal = Journal(tmp_path / "configs")
    (tmp_path / ".t0dspy" / "rollout").mkdir(parents=True)
    (tmp_path / ".t0dspy" / "rollout").chmod(0o755)
    with journal.hold():
        journal.note_served("1", {"a.toml": "user text"})
        assert mode(tmp_path / ".t0dspy" / "rollout") == 0o700
        assert {mode(path) for path in (tmp_path / ".t0dspy" / "rollout").glob("*.json")} == {0o600}


@pytest.mark.parametrize("existing", [False, True])
def test_data_directories_are_closed(tmp_path: Path, existing: bool) -> None:
    """A new one, and one of an older version that others may enter."""
    data = tmp_path / "data"
    if existing:
        with data_dir.hold(data, ("gateway",)), data_directory.hold(data / "clickhouse"):
            pass
        for place in (data, data / "clickhouse"):
            place.chmod(0o755)
    with data_dir.hold(data, ("gateway",)), data_directory.hold(data / "clickhouse"):
        data_dir.write_run_file(data, data_dir.Running(1, "c", urls={"gateway": "http://127.0.0.1:3000"}))
        assert mode(data) == mode(data / "clickhouse") == 0o700
        assert mode(data / "stack.json") == 0o600


def test_a_foreign_directory_is_left_as_it_is(tmp_path: Path) -> None:
    """`--data-dir` of somebody's home is refused, and its mode is not changed."""
    foreign = tmp_path / "home"
    foreign.mkdir()
    (foreign / "letter.txt").touch()
    foreign.chmod(0o755)
    for hold in (data_dir.hold(foreign, ("gateway",)), data_directory.hold(foreign)):
        with pytest.raises((StackError, ChdbHttpError), match="did not make"), hold:
            pass
    assert mode(foreign) == 0o755
