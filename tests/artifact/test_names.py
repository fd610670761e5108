"""Names are never paths: one check at one door, for every command and every file that holds a name."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import dspy
import pytest

import t0dspy
from localkit import private
from t0dspy import scaffold
from t0dspy.artifact.exported import program_directories, program_directory
from t0dspy.artifact.manifest import parse_manifest
from t0dspy.artifact.names import LONGEST, check_program_name, differs_in_case_only, is_program_name
from t0dspy.cli import main
from t0dspy.errors import BundleError, SettingsError, T0dspyError
from t0dspy.flywheel.retrain.run_directory import Home
from t0dspy.rollout.apply import Place
from t0dspy.rollout.restore import restore
from t0dspy.rollout.rollout import set_traffic
from t0dspy.settings import load_settings

PATHS = ["ask/../two", "../../x", "/etc", ".", "..", "", "ask/", "ask/v1", "a\0b", "a\nb", "\x1b[31mask", "x" * 5000]
LOOKALIKES = [
    "\u0430sk",
    "ask\u200b",
    "\uff41sk",
    "a\u2215b",
    "ASK\u0130",
]  # they look like ASCII


@pytest.fixture
def exported(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two programs, `ask` and `two`, and a directory with a manifest outside of the configs."""
    for name in ("ask", "two"):
        t0dspy.export(dspy.Predict("question -> answer"), "configs", name=name, model="openai::m", verify=False)
    (project / "x").symlink_to(project / "configs/programs/two")
    monkeypatch.chdir(project)
    return project


def commands(name: str) -> list[list[str]]:
    return [
        ["traffic", name],
        ["traffic", name, "v1=1"],
        ["rollback", name],
        ["rollback", name, "--to", "v1"],
        ["verify", name],
        ["run", name, "--input", "{}"],
        ["pull", name, "--window", "1d"],
        ["evaluate", name, "--data", "data.jsonl", "--metric", "json:dumps", "--direct"],
        ["retrain", name],
    ]


@pytest.mark.parametrize("name", PATHS[:6] + PATHS[8:11] + LOOKALIKES[:2], ids=ascii)
def test_no_command_takes_a_path_for_a_name(
    exported: Path, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each says so in one line, with exit code 1, and writes nothing anywhere."""
    before = {path: path.read_bytes() for path in exported.rglob("*") if path.is_file()}
    for command in commands(name):
        monkeypatch.setattr(sys, "argv", ["t0dspy", *command])
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capsys.readouterr()
        said = err.strip().splitlines()
        assert (stop.value.code, out, len(said)) == (1, "", 1), (command, out, err)
        assert said[0].isascii(), "a look-alike or a control character is visible in the message"
        expected = "no exported function" if command[0] == "run" else "is not the name of a program"
        assert expected in said[0] or command[0] == "retrain", (command, err)
    assert {path: path.read_bytes() for path in exported.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", PATHS + LOOKALIKES, ids=lambda name: ascii(name)[:40])
def test_no_function_takes_a_path_for_a_name(exported: Path, name: str) -> None:
    """The library refuses it with an error of its own, which shows the whole name or cuts it."""
    live = dspy.Predict("question -> answer")
    for call in (
        lambda: t0dspy.verify(name, program=live),
        lambda: t0dspy.rollback(name, apply=False),
        lambda: t0dspy.deploy(live, name or "/"),
        lambda: t0dspy.export(live, "configs", name=name or "/", model="openai::m", verify=False),
        lambda: Home(exported / ".t0dspy", name),
        lambda: program_directory(exported / "configs", name),
    ):
        with pytest.raises(SettingsError) as error:
            call()
        assert len(str(error.value)) < 500


@pytest.mark.parametrize("version", ["../../x", "v1/", "V1", "v01", "", "v1\n", "1", "v\u0661"])
def test_versions_are_looked_up_never_joined(exported: Path, version: str) -> None:
    """A version that the manifest lacks is an error, and a manifest that holds such a version is none."""
    live = dspy.Predict("question -> answer")
    for call in (
        lambda: t0dspy.rollback("ask", to=version or "/", apply=False),
        lambda: t0dspy.verify("ask", version or "/", program=live),
    ):
        with pytest.raises(T0dspyError, match="no version"):
            call()
    path = exported / "configs/programs/ask/manifest.json"
    raw = json.loads(path.read_text())
    raw["versions"][version] = raw["versions"].pop("v1")
    with pytest.raises(BundleError, match="not a version"):
        parse_manifest(json.dumps(raw), str(path))


def test_names_in_files_are_checked_too(exported: Path) -> None:
    """Settings' tables, and the record of what served, whose names become paths when it is put back."""
    (exported / "t0dspy.toml").write_text('[programs."../x"]\nprogram = "a:b"\n')
    with pytest.raises(SettingsError, match=r"'../x' is not the name of a program"):
        load_settings()
    for path in ("../outside.toml", "/tmp/outside.toml", "programs/../../x"):
        with pytest.raises(T0dspyError, match="not below the configs"):
            restore(exported / "configs", {path: "stolen"}, "now", "why")
    assert not (exported / "outside.toml").exists()


def test_a_link_to_another_place_is_no_program(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The gateway's glob does not follow it, so nothing of it is served, and no command reads or writes through it."""
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "linked"
    (exported / "configs/programs/two").rename(elsewhere)
    (exported / "configs/programs/linked").symlink_to(elsewhere)
    assert [directory.name for directory in program_directories(exported / "configs")] == ["ask"]
    with pytest.raises(BundleError, match="symbolic link"):
        t0dspy.rollback("linked", apply=False)


def test_case_is_no_way_to_another_program(exported: Path) -> None:
    """A disk that ignores case would open `ask` for `ASK`; the name is compared, not the file."""
    assert differs_in_case_only("ASK", ["ask", "two"]) == "ask"
    assert differs_in_case_only("ask", ["ask"]) is None
    with pytest.raises(BundleError, match="Upper and lower case are different"):
        t0dspy.rollback("ASK", apply=False)
    with pytest.raises(BundleError, match="Upper and lower case are different"):
        t0dspy.export(dspy.Predict("question -> answer"), "configs", name="Ask", model="openai::m", verify=False)


def test_the_longest_name_fits_a_file_system(project: Path) -> None:
    """What is made of it (schemas, locks, staging directories) stays below 255 bytes."""
    name = "n" * LONGEST
    assert is_program_name(name)
    assert not is_program_name(name + "n")
    t0dspy.export(dspy.Predict("question -> answer"), "configs", name=name, model="openai::m", verify=False)
    assert check_program_name(name) == program_directory(Path("configs"), name).name


def run_up(project: Path) -> None:
    """Start ClickHouse alone, and stop it."""
    command = [str(Path(sys.executable).with_name("t0dspy")), *["up", "--only", "clickhouse", "--clickhouse-port", "0"]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=project) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()


def run_retrain(project: Path) -> None:
    """What a retrain does first and last in its directory."""
    home = Home(project / ".t0dspy", "ask")
    with home.lock():
        home.new_run(datetime(2026, 1, 1, tzinfo=UTC)).write_json("pulled.json", ["what a user said"])


ACTIONS: dict[str, Callable[[Path], object]] = {
    "init": lambda project: scaffold.write(scaffold.plan(project)),
    "traffic": lambda project: set_traffic(Place(project / "configs", "", ""), "ask", {"v1": 1.0}, applying=False),
    "retrain": run_retrain,
    "up": run_up,
}


@pytest.mark.parametrize("name", ACTIONS)
def test_git_never_sees_t0dspys_own_directory(exported: Path, name: str) -> None:
    """After each command that writes there, `git add -A` stages nothing below `.t0dspy`."""
    git = ["git", "-c", "core.excludesFile=/dev/null"]
    subprocess.run([*git, "init", "-q", "."], check=True)
    ACTIONS[name](exported)
    assert any((exported / ".t0dspy").iterdir()), "it wrote there"
    subprocess.run([*git, "add", "-A"], check=True)
    staged = subprocess.run([*git, "ls-files", ".t0dspy"], capture_output=True, text=True, check=True).stdout
    assert staged == ""


def test_a_users_own_gitignore_stays(tmp_path: Path) -> None:
    """Who keeps a part of it in version control says so in that file, once."""
    place = tmp_path / ".t0dspy"
    place.mkdir()
    (place / ".gitignore").write_text("!sets.json\n")
    private.make_ignored(place / "retrain" / "ask")
    assert (place / ".gitignore").read_text() == "!sets.json\n"
    assert (place / "retrain/ask/.gitignore").read_text() == "*\n"
