"""Exit codes and streams: what a shell script relies on."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import t0dspy
from t0dspy.cli import app
from t0dspy.cli.verb import with_negatives_last
from t0dspy.exporting import export as export_module

TOOL = str(Path(sys.executable).with_name("t0dspy"))
EXPORT = ("export", "review:program", "--name", "review", "--model", "openai::gpt-4o-mini")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nix"],
        ["export"],
        ["export", "a:b", "c:d"],
        ["export", "a:b", "--adaptor", "chat"],
        ["export", "a:b", "--adapter", "yaml"],
        ["export", "a:b", "--traffic", "much"],
        ["verify", "x", "--inputs", "0"],
    ],
)
def test_wrong_usage_is_2(run: Callable[..., Any], arguments: list[str]) -> None:
    """Wrong usage says what is wrong and how the command is used, on stderr."""
    ran = run(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "Usage: t0dspy" in ran.err
    assert "{" not in ran.err


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["export", "--help"], ["verify", "-h"], ["--version"]])
def test_help_is_0(run: Callable[..., Any], arguments: list[str]) -> None:
    """Help and version go to stdout."""
    ran = run(*arguments)
    assert (ran.code, ran.err) == (0, "")
    assert "t0dspy" in ran.out
    assert t0dspy.__version__ in ran.out or "Usage: t0dspy" in ran.out


@pytest.mark.parametrize("verb", sorted(command.name or "" for command in get_command(app).commands.values()))
def test_help_names_what_a_value_is(run: Callable[..., Any], verb: str) -> None:
    """No Python in it, neither types nor brackets around brackets."""
    said = run(verb, "--help").out
    assert not re.search(r"--[a-z-]+ None\b|\[\[", said), said


def test_a_bug_is_3(shop: Path, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Something unexpected leaves its traceback in a log, whose path is all that the user sees of it."""

    def broken(*arguments: object, **options: object) -> None:
        raise KeyError("inner\nsecret")

    monkeypatch.setattr(export_module, "compile_program", broken)
    monkeypatch.setenv("TMPDIR", str(shop))
    ran = run(*EXPORT)
    assert (ran.code, ran.out) == (3, "")
    assert "Traceback" not in ran.err
    log = Path(re.search(r"attach (\S+\.log)", ran.err).group(1))
    assert "Traceback" in log.read_text()
    log.unlink()
    monkeypatch.setattr(tempfile, "tempdir", str(shop / "nowhere"))
    ran = run(*EXPORT)
    assert (ran.code, ran.out) == (3, "")
    assert "no log could be written" in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.usefixtures("shop")
def test_a_reader_that_goes_away() -> None:
    """`t0dspy export ... | head -1` ends without a word about a broken pipe."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([TOOL, *EXPORT, "--no-verify"], stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (done.returncode, [line for line in done.stderr.splitlines() if not line.startswith(b"note: ")]) == (0, [])


@pytest.mark.usefixtures("shop")
def test_interrupted_is_130(tool: Callable[..., Any]) -> None:
    """Ctrl-C in the middle of verifying says so and leaves nothing behind."""
    process = subprocess.Popen([TOOL, *EXPORT], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    lock = Path("configs/programs/.review.lock")
    while not lock.exists():
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, b"", b"Interrupted.\n")
    assert not Path("configs").exists()


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("environment", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}])
def test_a_terminal_without_unicode(tool: Callable[..., Any], environment: dict[str, str]) -> None:
    """Prompts hold any character; a terminal that cannot show one gets an escape, not a crash."""
    Path("odd.py").write_text(Path("review.py").read_text().replace("Judge", "Jüdge 🎉\u2028"), encoding="utf-8")
    arguments = ("--name", "review", "--model", "openai::gpt-4o-mini", "--no-verify")
    assert tool("export", "review:program", *arguments, **environment).code == 0
    ran = tool("export", "odd:program", *arguments, **environment)
    assert ran.code == 0, ran.err
    assert "dge " in ran.out


@pytest.mark.parametrize(
    "arguments",
    [
        ["ID", "score", "-0.5"],
        ["ID", "score", "-.5", "--episode"],
        ["--episode", "ID", "score", "-3"],
        ["ID", "score", "--episode", "-1e3"],
        ["ID", "score", "--", "-0.5"],
    ],
)
def test_a_negative_number_is_a_value(run: Callable[..., Any], arguments: list[str]) -> None:
    """Nobody has an option called `-0`."""
    nowhere = ["--gateway-url", "http://127.0.0.1:9", "--clickhouse-url", "http://127.0.0.1:9"]
    ran = run("feedback", *nowhere, *arguments)
    assert (ran.code, ran.out) == (1, "")
    assert "ClickHouse at http://127.0.0.1:9: Connection refused" in ran.err


def test_a_negative_number_may_be_an_options_value() -> None:
    """It stays behind the option that takes it, and nothing is moved where the user has said `--`."""
    assert with_negatives_last(["a", "--share", "-1", "-2", "b"], {"--share"}) == [
        "a",
        "--share",
        "-1",
        "b",
        "--",
        "-2",
    ]
    assert with_negatives_last(["--", "-1", "a"], set()) == ["--", "-1", "a"]
    assert with_negatives_last(["-v", "--no", "-x1"], set()) == ["-v", "--no", "-x1"]
