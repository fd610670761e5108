"""What every test can rely on: no provider, no real home, no settings of the machine it runs on."""

import copy
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("RUST_LOG", "off")  # the embedded gateway logs to stdout unless told before its first use
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # a shell's background job; a process under test inherits that
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "true"  # never fetch a price list

from support.stack import migrated_data
from support.tool import Ran
from t0dspy.cli import main
from t0dspy.testing import ScriptedUpstream


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-golden", action="store_true", help="rewrite the golden trees of tests/programs")
    parser.addoption("--every-run", action="store_true", help="run every input of the corpus with every kind of answer")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The counts behind the claim of wire equality, summed over all workers."""
    counts, skipped = Counter[str](), Counter[str]()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for one in (value for name, value in report.user_properties if name == "parity"):
                counts += Counter({"programs": 1, **{key: one[key] for key in ("predictors", "requests", "answers")}})
                skipped += Counter(one["skipped"])
    _summarize_corpus(terminalreporter)
    if counts:
        terminalreporter.section("wire equality")
        terminalreporter.line(
            f"{counts['programs']} programs and forms with {counts['predictors']} predictors verified, "
            f"{counts['requests']} requests compared, {counts['answers']} answers replayed, "
            f"{skipped.total()} inputs skipped"
        )
        for reason, count in skipped.most_common():
            terminalreporter.line(f"  {count} skipped: {reason}")


def _summarize_corpus(terminalreporter: Any) -> None:
    outcomes, counts = Counter[str](), Counter[str]()
    for report in terminalreporter.getreports("passed"):
        for result in (value for name, value in report.user_properties if name == "corpus"):
            outcomes[result["outcome"]] += 1
            counts += Counter({"runs": result["runs"], "requests": result["requests"]})
    if outcomes:
        terminalreporter.section("run equality")
        found = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
        terminalreporter.line(
            f"{outcomes.total()} programs: {found}; {counts['runs']} runs, {counts['requests']} requests"
        )


@pytest.fixture(autouse=True)
def _a_bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No key, no proxy, no gateway of the developer's machine reaches a test."""
    for name in list(os.environ):
        if name.endswith("_API_KEY") or name.startswith(("TENSORZERO_", "T0DSPY_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture(autouse=True)
def _default_settings_of_dspy() -> Iterator[None]:
    """No `dspy.configure` of a program that a test imports reaches another test."""
    yield
    if (settings := sys.modules.get("dspy.dsp.utils.settings")) is not None:
        settings.main_thread_config.clear()
        settings.main_thread_config.update(copy.deepcopy(settings.DEFAULT_CONFIG))


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A migrated data directory, shared by all workers; copy it."""
    base = tmp_path_factory.getbasetemp()
    return migrated_data(base if worker_id == "master" else base.parent)


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    """A model provider under the test's control."""
    with ScriptedUpstream() as server:
        yield server


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project directory, which is the working directory too."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Run the tool in this process."""

    def run(*arguments: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["t0dspy", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capsys.readouterr()
        return Ran(stop.value.code, out, err)

    return run
