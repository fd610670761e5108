"""A record that cannot be written, and one that holds what is no record: one sentence, and the stack starts."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from t0dspy.errors import RolloutError
from t0dspy.rollout import pending
from t0dspy.rollout.on_start import before_start
from t0dspy.rollout.pending import Journal, Pending
from t0dspy.rollout.restore import restore


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    """Configs with one generated tree whose manifest is not one."""
    program = tmp_path / "configs" / "programs" / "ask"
    program.mkdir(parents=True)
    (program / "manifest.json").write_text("{}")
    return tmp_path / "configs"


def test_a_full_disk_is_one_sentence(configs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beginning, noting and ending on a disk that refuses name the file and the reason."""
    journal = Journal(configs)
    with journal.hold():
        journal.begin(Pending("traffic ask", {}))

    def refuse(*_: object, **__: object) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pending.atomic, "open_replacement", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(RolloutError, match=r"configs\.pending\.json: cannot be written \(No space left on device\)\."):
        journal.begin(Pending("traffic ask", {}))
    with pytest.raises(RolloutError, match=r"configs\.served\.json: cannot be written \(No space left on device\)\."):
        journal.note_served("1", {})
    with pytest.raises(RolloutError, match=r"configs\.pending\.json: cannot be removed \(No space left on device\)\."):
        journal.end()


@pytest.mark.parametrize("name", ["", "a//b", "a\0b", "/a", "../a"])
def test_a_name_that_is_not_below_the_configs(configs: Path, name: str) -> None:
    """Names of a record become paths, so they are checked first."""
    with pytest.raises(RolloutError, match="which is not below the configs"):
        restore(configs, {name: "text"}, "2026-01-01T00:00:00Z", "why")


@pytest.mark.parametrize("text", ["[]", "null", '{"manifest": 1}', "{"])
def test_files_that_cannot_be_put_back_do_not_stop_a_start(configs: Path, text: str) -> None:
    """A record whose manifest is none is reported; the gateway then says what it makes of the files."""
    journal, said = Journal(configs), list[str]()
    old = {"programs/ask/manifest.json": text, "programs/ask/rollout.toml": ""}
    with journal.hold():
        journal.begin(Pending("traffic ask", old, putting_back=True))
    before_start(configs, said.append)
    assert said[0] == "`traffic ask` was refused by the gateway and then interrupted; the old files are restored now."
    assert said[1].startswith("The files could not be restored: ")
    assert len(said) == 2
