"""Docs that cannot lie: help is current, and what README and docs show is run."""

import ast
import re
import runpy
import shlex
import shutil
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import t0dspy
from support.stack import Stack
from t0dspy.cli import main
from t0dspy.readiness.problems import Problems
from t0dspy.stack.processes.plan import Plan

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RUN = ("export", "verify", "traffic", "rollback", "apply")
"""The verbs whose console blocks are run."""
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
    """A relative link names a file that exists, and a heading or an anchor in it."""
    for page in [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "examples/spec_to_review/README.md"]:
        for target in re.findall(r"\]\((?!https?://)([^)]+)\)", page.read_text(encoding="utf-8")):
            path, _, anchor = target.partition("#")
            linked = page.parent / path if path else page
            assert linked.exists(), f"{page.name}: {target}"
            assert not anchor or anchor in _anchors(linked), f"{page.name}: {target}"


def _anchors(page: Path) -> set[str]:
    """The anchors of a page: those of its headings, as GitHub makes them, and those that it sets itself."""
    text = page.read_text(encoding="utf-8")
    headings = (heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE))
    return {re.sub(r"[^\w-]", "", heading) for heading in headings} | set(re.findall(r'<a id="(.+?)"', text))


def test_contributing_names_the_blocks_that_are_run() -> None:
    """Nobody relies on a check that does not take place."""
    text = " ".join((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split())
    named = re.search(r"start with `\$ t0dspy` and one of ([^;]+);", text)
    assert named is not None
    assert tuple(re.findall(r"`([a-z]+)`", named[1])) == RUN


def test_the_ready_block_is_what_up_prints(capsys: pytest.CaptureFixture[str]) -> None:
    """docs/stack.md shows each part and its default port, as the command prints them."""
    from t0dspy.cli.up import _Terminal

    plan = Plan(Path("configs"), Path("data"))
    ports = {"clickhouse": plan.clickhouse_port, "gateway": plan.gateway_port, "programs": plan.programs_port}
    _Terminal(quiet=False, secret_url=lambda: None).show_ready(
        {part: plan.url(ports[part]) for part in plan.parts}, Problems()
    )
    shown = re.search(r"^    \$ t0dspy up\n((?:    .*\n)+)", (ROOT / "docs/stack.md").read_text(), re.MULTILINE)
    assert shown is not None
    assert textwrap.dedent(shown[1]) == capsys.readouterr().out


def test_reasons_in_the_docs_are_the_codes() -> None:
    """What docs/retrain.md shows as left out is spelled as curation counts it."""
    sources = (ROOT / "toolkit/t0dspy/flywheel").rglob("*.py")
    nodes = (node for path in sources for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    (line,) = re.findall(r"^  left out +(.*)$", (ROOT / "docs/retrain.md").read_text(), re.MULTILINE)
    reasons = [re.sub(r"^[\d,]+ ", "", counted) for counted in line.split("; ")]
    assert reasons
    assert [reason for reason in reasons if reason not in texts] == []


def _blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def _sessions(page: Path) -> Iterator[tuple[str, str]]:
    for block in _blocks(page, "console"):
        command, _, output = block.partition("\n")
        if re.match(rf"\$ t0dspy ({'|'.join(RUN)})\b", command):
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


@pytest.mark.parametrize("page", [page for page in PAGES if any(_sessions(page))], ids=lambda page: page.name)
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
