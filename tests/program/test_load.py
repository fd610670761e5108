"""Programs by import path, and the hash of their source."""

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dspy
import pytest

import t0dspy
from t0dspy.errors import ProgramError
from t0dspy.program.load import code_hash, load_program

SOURCE = """
    import dspy

    class Answer(dspy.Module):
        def __init__(self):
            super().__init__()
            self.step = dspy.Predict("question -> answer")

        def forward(self, question):
            return self.step(question=question)

    program = Answer()
    number = 5

    class Holder:
        inner = Answer()

    def factory():
        return Answer()

    def failing():
        raise OSError("no disk")

    def needing(argument):
        return Answer()
"""


@pytest.fixture
def module(project: Path) -> Iterator[str]:
    """A module of the user's, gone from memory afterwards."""
    path = list(sys.path)
    (project / "sample_app.py").write_text(textwrap.dedent(SOURCE), encoding="utf-8")
    (project / "broken_app.py").write_text("import no_such_library\n", encoding="utf-8")
    (project / "raising_app.py").write_text("raise RuntimeError('at import')\n", encoding="utf-8")
    (project / "syntax_app.py").write_text("def\n", encoding="utf-8")
    yield "sample_app"
    sys.path[:] = path
    for name in ("sample_app", "broken_app", "raising_app", "syntax_app"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("attribute", ["program", "Answer", "factory", "Holder.inner"])
def test_programs_classes_and_factories(module: str, attribute: str) -> None:
    """A module, a class or a function without arguments; attributes of attributes too."""
    assert [path for path, _ in load_program(f"{module}:{attribute}").named_predictors()] == ["step"]


MISTAKES = [
    ("sample_app", "'sample_app' is not an import path: write package.module:attribute"),
    (":program", "is not an import path"),
    ("sample_app:", "is not an import path"),
    ("sample_app:programm", "sample_app has no 'programm'. It has program."),
    ("sample_app:program.nothing", "sample_app has no 'program.nothing'."),
    ("sample_app:number", "sample_app:number is a int, not a dspy.Module or something that makes one."),
    ("sample_app:failing", "sample_app:failing() failed: OSError: no disk. It is called without arguments."),
    ("sample_app:needing", "sample_app:needing() failed: TypeError"),
    ("nowhere_app:program", "no module 'nowhere_app' here or on the Python path"),
    ("sample_app.deeper:program", "no module 'sample_app.deeper'"),
    ("broken_app:program", "importing broken_app failed: No module named 'no_such_library'"),
    ("raising_app:program", "importing raising_app failed: RuntimeError: at import"),
    ("syntax_app:program", "SyntaxError in syntax_app.py line 1"),
    (".relative:program", "importing .relative failed"),
]


@pytest.mark.parametrize(("reference", "reason"), MISTAKES)
def test_mistakes_are_told_apart(module: str, reference: str, reason: str) -> None:
    """A wrong path, a failing import and a thing that is no program each have their message."""
    with pytest.raises(ProgramError) as caught:
        load_program(reference)
    assert reason in str(caught.value)


@pytest.mark.parametrize("file", ["app/review.py", "./app/review.py", "app/review", "app.review.py"])
def test_a_file_is_no_module(file: str) -> None:
    """Who writes a path reads what to write instead."""
    with pytest.raises(ProgramError, match=r"is a file: write its module, app\.review:made"):
        load_program(f"{file}:made")


class Unmade(dspy.Module):
    """A program that nobody has made."""


@pytest.mark.parametrize("program", [Unmade, 5, "no import path"])
def test_only_live_programs(program: Any, project: Path) -> None:
    """A class is told from a program, by every call that takes one."""
    for work in (lambda: t0dspy.export(program, name="x", model="m"), lambda: t0dspy.deploy(program)):
        with pytest.raises(ProgramError, match=r"Unmade\(\)|an? (int|str) is not a dspy.Module|is not an import path"):
            work()
    assert not (project / "configs").exists()


def test_only_what_runs_counts_in_the_hash(module: str, project: Path) -> None:
    """Blank lines and whole-line comments change nothing; a changed line does."""
    program = load_program(f"{module}:program")
    before = code_hash(program, f"{module}:program")
    path = project / "sample_app.py"
    path.write_text("# a comment\n\n" + path.read_text(encoding="utf-8") + "\n   # another\n", encoding="utf-8")
    assert code_hash(program, f"{module}:program") == before
    path.write_text(path.read_text(encoding="utf-8").replace("number = 5", "number = 6"), encoding="utf-8")
    assert code_hash(program, f"{module}:program") != before


def test_a_comment_sign_inside_a_text_is_code(module: str, project: Path) -> None:
    """A line of a prompt that begins with # is no comment."""
    program = load_program(f"{module}:program")
    path = project / "sample_app.py"
    source = path.read_text(encoding="utf-8")
    path.write_text(source + 'PROMPT = """\n# Heading one\n"""\n', encoding="utf-8")
    before = code_hash(program)
    path.write_text(source + 'PROMPT = """\n# Heading two\n"""\n', encoding="utf-8")
    assert code_hash(program) != before
