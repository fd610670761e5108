"""The page of workarounds equals the comments in the code, and those name the installed versions."""

import runpy
from importlib.metadata import version
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"
WRITE = runpy.run_path(str(DOCS / "write.py"))


def test_the_page_lists_each_workaround() -> None:
    """`make docs` would change nothing; each comment names its reason and when it can be removed."""
    text = (DOCS / "internals/workarounds.md").read_text(encoding="utf-8")
    assert len(WRITE["workarounds"]()) > 30
    assert WRITE["workarounds_page"](text) == text, "run `make docs`"


def test_workarounds_name_the_installed_versions() -> None:
    """After an upgrade, somebody checks whether each workaround is still needed."""
    named = {comment.partition("(")[2].partition(")")[0] for _, comment in WRITE["workarounds"]()}
    outdated = [
        software for software in named if not version(software.split()[0]).startswith(f"{software.split()[1]}.")
    ]
    assert outdated == []
