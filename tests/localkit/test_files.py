"""`localkit.atomic` and `localkit.locks`: replaced files and lock files."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from localkit import locks
from localkit.atomic import open_replacement, replace_file
from localkit.errors import LockedError


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_an_error_leaves_the_old_file(tmp_path: Path) -> None:
    """Neither a part of the new content nor the temporary file stays."""
    path = tmp_path / "file"
    replace_file(path, "old")
    with pytest.raises(ZeroDivisionError), open_replacement(path) as file:
        file.write(b"half of the new" * (1 // len(path.read_bytes()[3:])))
    with pytest.raises(UnicodeEncodeError):
        replace_file(path, "half a surrogate pair: \ud800")
    assert (path.read_text(), list(tmp_path.iterdir())) == ("old", [path])


def test_the_mode_of_a_replaced_file(tmp_path: Path) -> None:
    """By default only the owner may read; `keep_mode` takes over the mode, which a new file has from the umask."""
    path = tmp_path / "file"
    before = os.umask(0o022)
    try:
        replace_file(path, "a", keep_mode=True)
        assert mode(path) == 0o644
        path.chmod(0o664)
        replace_file(path, "b", keep_mode=True)
        assert mode(path) == 0o664
        replace_file(path, "c")
        assert mode(path) == 0o600
    finally:
        os.umask(before)


def test_a_temporary_file_of_a_killed_writer_does_not_disturb(tmp_path: Path) -> None:
    """It may even be a link to another file, which stays as it is."""
    path, other = tmp_path / "file", tmp_path / "other"
    other.write_text("other")
    (tmp_path / ".file.new").symlink_to(other)
    replace_file(path, "new")
    assert (path.read_text(), other.read_text(), path.is_symlink()) == ("new", "other", False)


def test_one_process_holds_a_lock(tmp_path: Path) -> None:
    """Another one is refused, and a killed process holds nothing."""
    path = tmp_path / "lock"
    code = "import pathlib; from localkit import locks\n"
    code += f"with locks.hold(pathlib.Path({str(path)!r})): print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert locks.is_held(path)
        with pytest.raises(LockedError), locks.hold(path):
            pass
        other.kill()
        other.wait()
    assert not locks.is_held(path)
    with locks.hold(path, remove=True):
        assert locks.is_held(path)
    assert not path.exists()
