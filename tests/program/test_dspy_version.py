"""An unsupported DSPy is reported before anything else goes wrong because of it."""

import subprocess
import sys
from importlib.metadata import requires, version
from pathlib import Path

import dspy
import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from t0dspy.cli import app
from t0dspy.cli.verb import DspyVerb
from t0dspy.errors import StateError
from t0dspy.program.dspy_version import SUPPORTED, check_dspy, is_same_minor
from t0dspy.program.state import saved_by, version_notes, with_state

USES = ["export a:b", "up", "serve", "run ask --input {}", "retrain ask", "evaluate ask --data x"]


def with_dspy(place: Path, installed: str, code: str) -> subprocess.CompletedProcess[str]:
    """Run `code` where the metadata of DSPy says that `installed` is installed."""
    information = place / f"dspy-{installed}.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: dspy\nVersion: {installed}\n")
    code = f"import sys; sys.path.insert(0, {str(place)!r}); {code}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=place)


@pytest.mark.parametrize("installed", ["3.3.1", "3.40.0", "2.6.27"])
def test_an_unsupported_version_is_one_line(tmp_path: Path, installed: str) -> None:
    """Each command that imports DSPy says what is installed, what is needed, and how to get it."""
    lines = "; ".join(
        f"sys.argv = {['t0dspy', *line.split()]!r}; t0dspy.cli.failures.run_command("
        "lambda: t0dspy.cli.app(standalone_mode=False))"
        for line in USES
    )
    done = with_dspy(tmp_path, installed, f"import t0dspy.cli; {lines}; assert 'dspy' not in sys.modules")
    said = done.stderr.splitlines()
    assert (done.returncode, len(said)) == (0, len(USES)), done.stderr
    for line in said:
        assert line.startswith(
            f"t0dspy: DSPy {installed} is installed, but this version of t0dspy needs dspy{SUPPORTED}"
        )
        assert line.endswith(f"pip install 'dspy{SUPPORTED}'")


def test_the_library_reports_it_too(tmp_path: Path) -> None:
    """`import t0dspy` and its errors work; what needs DSPy raises."""
    code = "import t0dspy; print(t0dspy.T0dspyError.__name__, t0dspy.__version__); t0dspy.export"
    done = with_dspy(tmp_path, "3.3.1", code)
    assert done.stdout.startswith("T0dspyError ")
    assert done.stderr.splitlines()[-1].startswith("t0dspy.errors.SettingsError: DSPy 3.3.1 is installed")


def test_every_command_that_imports_dspy_checks() -> None:
    """All but those that can do their work without."""
    checked = {one.callback.__name__ for one in app.registered_commands if one.cls is DspyVerb}
    assert {one.callback.__name__ for one in app.registered_commands} - checked == {
        *("init", "traffic", "rollback", "apply"),
        "verify",  # it shows what another DSPy would change in the prompts, and then checks
    }


def test_the_range_is_our_requirement() -> None:
    """The message names what the package itself asks for, and the tests run on it."""
    needed = [Requirement(line) for line in requires("t0dspy") or ()]
    assert SpecifierSet(SUPPORTED) in [one.specifier for one in needed if one.name == "dspy" and not one.marker]
    check_dspy()
    assert is_same_minor("3.4.0", "3.4.12")
    assert not is_same_minor("3.4.0", "3.40.0")


def state(saved: str) -> dict[str, object]:
    """A state of a program that is one predictor."""
    return {**dspy.Predict("a -> b").dump_state(), "metadata": {"dependency_versions": {"dspy": saved}}}


def test_a_state_of_another_version_is_mentioned() -> None:
    """A note for another minor version; none for the same, or where nothing shows the version."""
    (note,) = version_notes(state("2.6.27"), "x.json")
    assert note.startswith(f"x.json was saved by DSPy 2.6.27, but DSPy {version('dspy')} is installed.")
    assert version_notes(state(version("dspy")), "x.json") == []
    assert version_notes(dspy.Predict("a -> b").dump_state(), "x.json") == []
    assert version_notes({"metadata": {"dependency_versions": ["dspy"]}}, "x.json") == []


@pytest.mark.parametrize(
    ("metadata", "named"),
    [({}, "DSPy 2.x"), ({"metadata": {"dependency_versions": {"dspy": "2.5.43"}}}, "DSPy 2.5.43")],
)
def test_a_state_of_dspy_2_is_called_that(metadata: dict[str, object], named: str) -> None:
    """As 2.5 wrote them: with `_predict` and `extended_signature`. It is not "of another program"."""
    signature = dspy.Predict("a -> b").dump_state()["signature"]
    old = {"_predict": {"demos": [], "signature": signature, "extended_signature": signature}, **metadata}
    assert (saved_by(old) or "").startswith("2.")
    with pytest.raises(StateError, match=rf"saved by {named}"):
        with_state(dspy.ChainOfThought("a -> b"), old, "x.json")
