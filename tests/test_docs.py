"""Docs that cannot lie: help is current, and what README and docs show is run."""

import re
import runpy
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import t0dspy
from stack.harness import Stack
from t0dspy.cli import main

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
WRITE = runpy.run_path(str(ROOT / "docs/write.py"))


@pytest.mark.parametrize("name", WRITE["PAGES"])
def test_generated_pages_are_current(name: str) -> None:
    """`make docs` would change nothing."""
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert WRITE["PAGES"][name](text) == text, "run `make docs`"


@pytest.mark.parametrize(("line", "text"), WRITE["commands"]().items())
def test_commands_have_help_with_an_example(line: str, text: str) -> None:
    """Every command says what it does, what each option is for, and how it is called."""
    assert line == "t0dspy" or "Example: t0dspy " in text
    for row in re.findall(r"^  (-.*|[A-Z]+ .*)$", text, re.MULTILINE):
        assert re.search(r"\S  +\S", row), f"no help: {row}"


def test_settings_are_documented() -> None:
    """Each key of the settings has its row."""
    from t0dspy.settings import DEFAULTS, ApplySettings, ProgramSettings

    text = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    for key in (*DEFAULTS, *ProgramSettings.__dataclass_fields__, *ApplySettings.__dataclass_fields__):
        assert f"\n| `{key}` |" in text, key


def test_links_lead_somewhere() -> None:
    """A relative link names a file that is there."""
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def _blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def _sessions(page: Path) -> Iterator[tuple[str, str]]:
    for block in _blocks(page, "console"):
        command, _, output = block.partition("\n")
        if re.match(r"\$ t0dspy (export|verify|traffic|rollback|apply)\b", command):
            yield command.removeprefix("$ "), output


def _pattern(shown: str) -> str:
    lines = [
        ".*" if line == "..." else re.escape(line).replace(re.escape("..."), "[^\n]*") for line in shown.split("\n")
    ]
    return "\n".join(lines)


@pytest.fixture
def app(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project with the program that README shows."""
    source = next(block for block in _blocks(ROOT / "README.md", "python") if block.startswith("# app/review.py"))
    (project / "app").mkdir()
    (project / "app/review.py").write_text(source)
    monkeypatch.syspath_prepend(str(project))
    yield project
    for name in ("app.review", "app"):
        sys.modules.pop(name, None)


@pytest.fixture
def stack(app: Path, migrated: Path) -> Iterator[Path]:
    """The app with v1 exported and served, on the repository's own base config."""
    shutil.copytree(migrated, app / ".t0dspy/stack", symlinks=True)
    shutil.copytree(ROOT / "configs", app / "configs")
    t0dspy.export("app.review:review", app / "configs", model="openai::gpt-4o-mini", demos="system", verify=False)
    with Stack(app, None, OPENAI_API_KEY="unused", PYTHONPATH=str(app)) as running:
        running.data_dir = app / ".t0dspy/stack"
        running.start()
        yield app
        assert running.stop() == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_console_sessions_are_true(
    page: Path,
    app: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """Each `$ t0dspy ...` block prints what it shows, one after the other."""
    if page.name == "rollout.md":
        request.getfixturevalue("stack")
    for command, shown in _sessions(page):
        monkeypatch.setattr(sys, "argv", shlex.split(command))
        with pytest.raises(SystemExit):
            main()
        out, err = capsys.readouterr()
        assert re.fullmatch(_pattern(shown), out, re.DOTALL), f"{command}\n{out}{err}"


def test_the_library_session_runs(app: Path) -> None:
    """README's Python runs as it stands."""
    import dspy

    source = next(block for block in _blocks(ROOT / "README.md", "python") if "import t0dspy" in block)
    adapter = dspy.settings.adapter
    names: dict[str, Any] = {}
    try:
        exec(source, names)
    finally:
        dspy.configure(adapter=adapter)
        shutil.rmtree(app / "configs")
    assert names["result"].version == "v1"
