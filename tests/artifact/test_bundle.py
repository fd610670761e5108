"""The tree on disk: what a write keeps, what it refuses, who may write."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from t0dspy.artifact import bundle, swap
from t0dspy.errors import BundleError

OLD = {"program.toml": "# old\n", "schemas/a.json": "{}\n", "v1/variant.toml": "# v1\n", "manifest.json": "{}\n"}
NEW = {"program.toml": "# new\n", "v2/variant.toml": "# v2\n", "manifest.json": "{}\n"}


@pytest.fixture(params=["exchanged", "written ahead"])
def directory(request: pytest.FixtureRequest, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program's tree, whose new version will be written in either way."""
    directory = project / "configs/programs/shop"
    _write(directory, OLD)
    if request.param == "written ahead":
        monkeypatch.setattr(swap, "_try_swap", lambda directory, files: False)
    return directory


def _write(directory: Path, files: dict[str, str]) -> None:
    with bundle.lock(directory):
        bundle.write_tree(directory, files)


def test_nothing_but_the_tree_remains(directory: Path, project: Path) -> None:
    """Neither locks nor staging places are left."""
    _write(directory, NEW)
    assert bundle.read_tree(directory) == {**OLD, **NEW}
    assert [path.name for path in project.iterdir()] == ["configs"]
    assert [path.name for path in directory.parent.iterdir()] == ["shop"]


def test_files_that_stay_are_the_same_files(directory: Path) -> None:
    """Old versions keep inode and time, and their folder its time."""
    stays = [directory / "v1/variant.toml", directory / "schemas/a.json"]
    before = [(path.stat().st_ino, path.stat().st_mtime_ns, path.parent.stat().st_mtime_ns) for path in stays]
    _write(directory, NEW)
    assert before == [(path.stat().st_ino, path.stat().st_mtime_ns, path.parent.stat().st_mtime_ns) for path in stays]


def test_what_a_user_put_there_survives(directory: Path) -> None:
    """Extra files, empty directories, links to files and directories, bytes that are no text."""
    (directory / "notes").mkdir()
    (directory / "empty").mkdir()
    (directory / "notes/.DS_Store").write_bytes(b"\xff\xfe\x00")
    (directory / "to_file").symlink_to("notes/.DS_Store")
    (directory / "to_directory").symlink_to("notes")
    (directory / "to_nowhere").symlink_to("nowhere")
    _write(directory, NEW)
    assert (directory / "notes/.DS_Store").read_bytes() == b"\xff\xfe\x00"
    assert (directory / "empty").is_dir()
    links = {name: str((directory / name).readlink()) for name in ("to_file", "to_directory", "to_nowhere")}
    assert links == {"to_file": "notes/.DS_Store", "to_directory": "notes", "to_nowhere": "nowhere"}


def test_a_link_in_place_of_a_generated_file_is_replaced(directory: Path, project: Path) -> None:
    """What the link points to is not written to."""
    (project / "mine.toml").write_text("# mine\n")
    (directory / "program.toml").unlink()
    (directory / "program.toml").symlink_to(project / "mine.toml")
    _write(directory, NEW)
    assert (project / "mine.toml").read_text() == "# mine\n"
    assert (directory / "program.toml").read_text() == "# new\n"


def test_modes_survive(directory: Path) -> None:
    """Modes of files, replaced or not, and of directories."""
    modes = {"program.toml": 0o640, "v1/variant.toml": 0o444, "v1": 0o750, "": 0o2775}
    for path, mode in modes.items():
        (directory / path).chmod(mode)
    _write(directory, NEW)
    assert {path: (directory / path).stat().st_mode & 0o7777 for path in modes} == modes


def test_a_new_tree_follows_the_umask(project: Path) -> None:
    """A group that may write the project may write the tree."""
    umask = os.umask(0o002)
    try:
        _write(project / "configs/programs/shop", OLD)
    finally:
        os.umask(umask)
    assert (project / "configs/programs/shop").stat().st_mode & 0o777 == 0o775
    assert (project / "configs/programs/shop/program.toml").stat().st_mode & 0o777 == 0o664


def test_configs_may_be_a_link(project: Path) -> None:
    """The gateway follows a link to the directory of all configs; staging is beside the real one."""
    (project / "real").mkdir()
    (project / "configs").symlink_to("real")
    _write(project / "configs/programs/shop", OLD)
    _write(project / "configs/programs/shop", NEW)
    assert bundle.read_tree(project / "real/programs/shop") == {**OLD, **NEW}
    assert sorted(path.name for path in project.iterdir()) == ["configs", "real"]


@pytest.mark.parametrize("link", ["configs/programs", "configs/programs/shop"])
def test_a_linked_program_directory_is_refused(project: Path, link: str) -> None:
    """The gateway's glob does not follow it, so it would serve nothing of what is written."""
    (project / "real").mkdir()
    (project / link).parent.mkdir(parents=True)
    (project / link).symlink_to(project / "real")
    with pytest.raises(BundleError, match="is a symbolic link"):
        _write(project / "configs/programs/shop", OLD)


@pytest.mark.parametrize("path", ["configs", "configs/programs", "configs/programs/shop"])
def test_a_file_where_a_directory_should_be(project: Path, path: str) -> None:
    """It is named, and left as it is."""
    (project / path).parent.mkdir(parents=True, exist_ok=True)
    (project / path).write_text("mine")
    with pytest.raises(BundleError, match=path.rpartition("/")[2]):
        _write(project / "configs/programs/shop", OLD)
    assert (project / path).read_text() == "mine"


def test_a_file_in_the_way_within_the_tree(directory: Path) -> None:
    """A file for a directory, or a directory for a file, is named before anything is written."""
    (directory / "v2").write_text("mine")
    with pytest.raises(BundleError, match=r"v2 is a file.*Move the file away"):
        _write(directory, NEW)
    (directory / "v2").unlink()
    (directory / "v2/variant.toml").mkdir(parents=True)
    with pytest.raises(BundleError, match=r"variant\.toml is a directory.*Move the directory away"):
        _write(directory, NEW)
    assert bundle.read_tree(directory) == OLD


def test_a_text_that_utf8_cannot_write(directory: Path) -> None:
    """It is refused with the character, and nothing is written."""
    with pytest.raises(BundleError, match="udce9"):
        _write(directory, {**NEW, "v2/user.minijinja": "\udce9"})
    assert bundle.read_tree(directory) == OLD


def _unprivileged(*code: str) -> subprocess.CompletedProcess[str]:
    """Run Python as a user who may not write everywhere."""
    become = ["import os", "os.geteuid() or os.seteuid(65534)"]
    imports = ["from pathlib import Path", "from t0dspy.artifact import bundle"]
    return subprocess.run(
        [sys.executable, "-c", "\n".join([*imports, *become, *code])], capture_output=True, text=True, check=False
    )


def test_a_read_only_directory(project: Path) -> None:
    """Directories that may not be written are an error with the reason; a read-only project is no hindrance."""
    directory = project / "configs/programs/shop"
    _write(directory, OLD)
    for path in (project, project.parent, project.parent.parent, project.parent.parent.parent):
        path.chmod(path.stat().st_mode & 0o7777 | 0o055)
    write = [f"directory = Path({str(directory)!r})", "with bundle.lock(directory):"]
    write += [f"    bundle.write_tree(directory, {NEW!r})"]
    os.chmod(directory.parent, 0o555)
    ran = _unprivileged(*write)
    assert "BundleError" in ran.stderr
    assert "cannot be written (Permission denied)" in ran.stderr
    for path in (directory, directory / "v1", directory.parent):
        path.chmod(0o777)
    assert _unprivileged(*write).returncode == 0
    assert bundle.read_tree(directory) == {**OLD, **NEW}


_ON_A_FULL_DISK = """
set -e
mkdir -p "$1"
mount -t tmpfs -o size=256k tmpfs "$1"
mkdir "$1/project" && cd "$1/project"
"$2" - <<'PROGRAM'
from pathlib import Path
from t0dspy.artifact import bundle
from t0dspy.errors import BundleError
directory = Path("configs/programs/shop")
def write(files):
    with bundle.lock(directory):
        bundle.write_tree(directory, files)
write({"program.toml": "old"})
try:
    write({"program.toml": "new", "v2/big": "x" * 300_000})
except BundleError as error:
    print(error)
print(bundle.read_tree(directory), *sorted(map(str, Path().rglob("*"))))
write({"program.toml": "new"})
PROGRAM
"""


def test_a_full_disk(project: Path) -> None:
    """The tree stays as it was, nothing half-written is left, and the error says why."""
    may = shutil.which("unshare") and subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False)
    if not may or may.returncode:
        pytest.skip("mounting is not permitted here")
    command = ["unshare", "-m", "sh", "-c", _ON_A_FULL_DISK, "sh", str(project / "disk"), sys.executable]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    said, left = ran.stdout.splitlines()
    assert "cannot be written (No space left on device" in said
    assert left == (
        "{'program.toml': 'old'} configs configs/programs configs/programs/shop configs/programs/shop/program.toml"
    )


def test_one_writer_at_a_time(project: Path) -> None:
    """A second writer waits, and says so clearly when it has waited for long enough."""
    directory = project / "configs/programs/shop"
    with (
        bundle.lock(directory),
        pytest.raises(BundleError, match=r"another t0dspy .* 0\.1 s"),
        bundle.lock(directory, seconds=0.1),
    ):
        pass
    assert list(project.iterdir()) == []


def test_many_writers_at_once(project: Path) -> None:
    """Writers that come together all get their turn, though each removes its lock when it is done."""
    code = (
        "import sys; from pathlib import Path; from t0dspy.artifact import bundle\n"
        "directory = Path('configs/programs/shop')\n"
        "for _ in range(20):\n"
        "    with bundle.lock(directory):\n"
        "        count = int(bundle.read_tree(directory).get('count', '0'))\n"
        "        bundle.write_tree(directory, {'count': str(count + 1)})\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code], cwd=project) for _ in range(4)]
    assert [writer.wait() for writer in writers] == [0, 0, 0, 0]
    assert bundle.read_tree(project / "configs/programs/shop") == {"count": "80"}


def test_configs_of_two_environments(project: Path) -> None:
    """Two configs side by side with a program of the same name do not tidy up each other's staging places."""
    _write(project / "staging/programs/shop", OLD)
    place = swap._staging(project / "production/programs/shop")
    place.mkdir()
    _write(project / "staging/programs/shop", NEW)
    assert place.exists()
