"""A gateway that ends or cannot be reached during an apply refuses nothing: what was written stays."""

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import t0dspy
from support.rollout import Project
from support.stack import wait_until
from t0dspy.artifact.exported import ExportedProgram
from t0dspy.errors import RolloutError, UnconfirmedError
from t0dspy.rollout.apply import Place
from t0dspy.rollout.compose import ended_verdict
from t0dspy.rollout.pending import Journal, Pending, config_files
from t0dspy.rollout.rollout import set_traffic, undo
from t0dspy.settings import ApplySettings

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def configs(tmp_path: Path, pristine: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The exported programs, without a gateway."""
    shutil.copytree(pristine, tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "configs"


def place_with(configs: Path, *command: str, timeout: float = 20) -> Place:
    """A place whose gateway is reached by a command only, and does not answer."""
    return Place(configs, NOBODY, NOBODY, ApplySettings(command=command, timeout=timeout), given=True)


COMMANDS = [
    (("sh", "-c", "echo no such cluster >&2; exit 3"), 20, "exit code 3: no such cluster"),
    (("sleep", "60"), 0.2, "it was not done after 0.2 s."),
    (("true",), 0.2, "after 0.2 s it does not answer."),
]


@pytest.mark.parametrize(("command", "timeout", "reason"), COMMANDS)
def test_a_command_that_reaches_nobody_undoes_nothing(
    configs: Path, command: tuple[str, ...], timeout: float, reason: str
) -> None:
    """A failed or late command and a gateway that does not answer are no refusal."""
    with pytest.raises(UnconfirmedError, match=r"is written in .*, and nothing was undone") as error:
        set_traffic(place_with(configs, *command, timeout=timeout), "question", {"v2": 1.0}, applying=True)
    assert reason in str(error.value)
    assert "Run `t0dspy apply` when the gateway is back." in str(error.value)
    program = ExportedProgram.read(configs, "question")
    assert program.shares == {"v2": 1.0}
    assert program.manifest.history[-1].after == {"v2": 1.0}
    assert list(configs.rglob("*.refused")) == []


def test_a_later_refusal_goes_back_to_what_was_served(configs: Path) -> None:
    """Changes that nobody confirmed are not what is put back."""
    before = ExportedProgram.read(configs, "question").shares
    for version in ("v2", "v3"):
        with pytest.raises(UnconfirmedError):
            set_traffic(place_with(configs, "false"), "question", {version: 1.0}, applying=True)
    with pytest.raises(RolloutError, match="refused the config: exit code 78"):
        set_traffic(place_with(configs, "sh", "-c", "exit 78"), "question", {"v3": 1.0}, applying=True)
    assert ExportedProgram.read(configs, "question").shares == before


def test_a_command_that_is_not_there_changes_nothing(configs: Path) -> None:
    """A slip in the settings is reported before anything is written."""
    before = config_files(configs)
    with pytest.raises(RolloutError, match="there is no command 'no-such-command' on this machine"):
        set_traffic(place_with(configs, "no-such-command"), "question", {"v2": 1.0}, applying=True)
    assert config_files(configs) == before
    assert Journal(configs).read_pending() is None


def test_an_export_keeps_its_number(configs: Path, run: Callable[..., Any]) -> None:
    """The version stays, and the next export does not reuse its number."""
    Path("t0dspy.toml").write_text(f'gateway_url = "{NOBODY}"\n[apply]\ncommand = ["false"]\n')
    state = configs.parent / "state.json"
    stories = __import__("stories")
    flags = ("--name", "question", "--state", str(state), "--model", "m", "--adapter", "chat", "--no-verify")
    for number, word in ((4, "fourth"), (5, "fifth")):
        changed = stories.question.deepcopy()
        changed.signature = changed.signature.with_instructions(f"The {word} instructions.")
        changed.save(state)
        ran = run("export", "stories:question", *flags, "--traffic", "1", "--apply")
        assert ran.code == 1
        assert "`export question` is written in configs, and nothing was undone" in ran.err
        program = ExportedProgram.read(configs, "question")
        assert program.shares == {f"v{number}": 1.0}
        assert program.manifest.history[-1].reason == f"export of v{number}"


@pytest.mark.parametrize("name", ["nobody", "../question"])
def test_a_wrong_name_is_said_before_a_change_is_finished(configs: Path, run: Callable[..., Any], name: str) -> None:
    """A look at a program that does not exist calls no gateway, also while a change is not confirmed."""
    settings = f'gateway_url = "{NOBODY}"\n[apply]\ncommand = ["touch", "asked"]\ntimeout = 0.1\n'
    Path("t0dspy.toml").write_text(settings)
    journal = Journal(configs)
    with journal.hold():
        journal.begin(Pending("traffic question", None))
    assert run("traffic", name).code == 1
    assert not Path("asked").exists()
    assert run("traffic", "question").code == 0
    assert Path("asked").exists()


def test_a_stack_that_dies_meanwhile_refuses_nothing(
    pristine: Path, migrated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After `kill -9` of the stack the rollback stays, and the next start serves it."""
    shutil.copytree(migrated, tmp_path / "data", symlinks=True)
    shutil.copytree(pristine, tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    with Project(tmp_path, upstream=None) as stack:  # type: ignore[arg-type]
        stack.start()
        stack.settings()
        set_traffic(stack.place, "question", {"v2": 1.0}, applying=True)
        pids = stack.pids()

        def die(seconds: float) -> None:
            stack.process.kill()
            stack.process.wait()
            time.sleep(seconds)

        with pytest.raises(UnconfirmedError, match=r"the embedded stack \(process \d+\) ended before it served the"):
            undo(replace(stack.place, pause=die), "question")
        assert ExportedProgram.read(stack.configs, "question").shares == {"v1": 1.0}
        assert ExportedProgram.read(stack.configs, "question").manifest.history[-1].undo
        stack.ended()
        stack.start()
        stack.wait_said(
            "`rollback question` was interrupted before the gateway confirmed it; the gateway serves it now."
        )
        wait_until(lambda: Journal(stack.configs).read_pending() is None)
        assert stack.pids() != pids
        stack.settings()
        with pytest.raises(t0dspy.errors.SettingsError, match="had no incumbent before v1"):
            t0dspy.rollback("question", configs=stack.configs)
        assert stack.stop() == 0


ENDINGS = [
    ({"ExitCode": 137, "OOMKilled": True}, "anything", "it ran out of memory"),
    ({"ExitCode": 137}, "anything", "it was killed by signal 9"),
    ({"ExitCode": 1}, "ClickHouse is not healthy: reqwest::Error", "ClickHouse is not healthy"),
    ({"ExitCode": 1}, "models.broken: missing field `providers`", ""),
]


@pytest.mark.parametrize(("state", "words", "reason"), ENDINGS)
def test_how_a_container_ended(state: dict[str, Any], words: str, reason: str) -> None:
    """Only words about the config are a refusal."""
    verdict = ended_verdict(state, words, "the container gateway-1")
    assert (reason in verdict.unconfirmed, verdict.refusal) == (True, "" if reason else words)
