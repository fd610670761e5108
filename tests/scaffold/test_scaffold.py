"""`t0dspy init`: what a project lacks, and nothing of what it has."""

import ast
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from t0dspy import scaffold
from t0dspy.errors import SettingsError
from t0dspy.settings import load_settings

ROOT = Path(__file__).parents[2]
ALL = {"t0dspy.toml", "configs/tensorzero.toml", "metric.py", ".t0dspy/.gitignore"}


def tree(directory: Path) -> dict[str, tuple[bytes, int]]:
    """Path -> content and time of every file."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def written(directory: Path) -> set[str]:
    """What `init` writes there."""
    found = scaffold.plan(directory)
    scaffold.write(found)
    return set(found.files)


def test_an_empty_project_gets_everything(tmp_path: Path) -> None:
    """Settings that load, a config with a model and metrics, a metric that says what to fill in."""
    assert written(tmp_path / "new") == ALL
    settings = load_settings(tmp_path / "new", {})
    assert settings.programs["my_program"].model == "main"
    config = tomllib.loads((tmp_path / "new/configs/tensorzero.toml").read_text())
    assert config["models"].keys() == {"main"}
    assert config["metrics"].keys() == {"good", "score"}
    names: dict[str, object] = {}
    exec(compile((tmp_path / "new/metric.py").read_text(), "metric.py", "exec"), names)
    grade = names["grade"]
    assert callable(grade)
    with pytest.raises(NotImplementedError, match=r"define in grade\(\)"):
        grade(None, None)


def test_the_base_config_is_the_repositorys() -> None:
    """There is one text of it."""
    assert scaffold._text(scaffold.CONFIG) == (ROOT / "configs/tensorzero.toml").read_text()


def test_the_second_time_writes_nothing(tmp_path: Path) -> None:
    """Everything is there, and is said to be."""
    written(tmp_path)
    before = tree(tmp_path)
    again = scaffold.plan(tmp_path)
    scaffold.write(again)
    assert again.files == {}
    assert again.kept == ["t0dspy.toml is there", "configs/tensorzero.toml is there", "metric.py is there"]
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("present", "lacking"),
    [
        ({"pyproject.toml": "[project]\nname = 'x'\n"}, ALL),
        ({"pyproject.toml": "[tool.t0dspy]\nconfigs = 'c'\n"}, ALL - {"t0dspy.toml"}),
        ({"t0dspy.toml": "not toml at all ["}, ALL - {"t0dspy.toml"}),
        ({"configs/models.toml": "[models.x]"}, ALL - {"configs/tensorzero.toml"}),
        ({"configs/programs/x/program.toml": "", "metric.py": "mine"}, ALL - {"metric.py"}),
        ({"configs/notes.md": "", "app/metric.py": ""}, ALL),
    ],
)
def test_what_is_there_stays(tmp_path: Path, present: dict[str, str], lacking: set[str]) -> None:
    """Files of the user's keep their content and their time, and only what is lacking is added."""
    for path, text in present.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    before = tree(tmp_path)
    assert written(tmp_path) == lacking
    after = tree(tmp_path)
    assert {path: after[path] for path in before} == before
    assert after.keys() - before.keys() == lacking


def test_a_dangling_link_is_there_too(tmp_path: Path) -> None:
    """Nothing is written through a link that leads nowhere."""
    (tmp_path / "metric.py").symlink_to(tmp_path / "elsewhere.py")
    assert written(tmp_path) == ALL - {"metric.py"}
    assert not (tmp_path / "elsewhere.py").exists()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda place: place.write_text("x"), "is a file"),
        (lambda place: (place.mkdir(), (place / "pyproject.toml").write_text("[")), "cannot be read as TOML"),
        (lambda place: (place.mkdir(), (place / "configs").write_text("")), "is a file, but"),
    ],
)
def test_what_cannot_be_is_one_clear_message(tmp_path: Path, make: object, said: str) -> None:
    """A file for a directory, and TOML that is none."""
    assert callable(make)
    make(tmp_path / "place")
    with pytest.raises(SettingsError, match=said):
        scaffold.plan(tmp_path / "place")


def test_a_file_made_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    """Between the plan and the writing somebody else was quicker."""
    found = scaffold.plan(tmp_path)
    (tmp_path / "metric.py").write_text("mine")
    with pytest.raises(SettingsError, match=r"metric\.py was just created by another process"):
        scaffold.write(found)
    assert (tmp_path / "metric.py").read_text() == "mine"


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A directory that takes no files."""
    tmp_path.chmod(0o500)
    yield tmp_path
    tmp_path.chmod(0o700)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_disk_that_refuses_is_said(read_only: Path) -> None:
    """The file that could not be written is named."""
    with pytest.raises(SettingsError, match="cannot be written"):
        scaffold.write(scaffold.plan(read_only))


def test_the_metric_stub_explains_itself() -> None:
    """Its docstring has all that somebody has to know to fill it in."""
    function = next(one for one in ast.parse(scaffold._text(scaffold.METRIC)).body if isinstance(one, ast.FunctionDef))
    text = ast.get_docstring(function) or ""
    assert all(word in text for word in ("example", "prediction", "trace", "Fill this in", "expected answer"))
