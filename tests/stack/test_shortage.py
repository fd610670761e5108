"""A stack that is short of disk or descriptors says so, when it starts and while it runs."""

import resource
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from localkit.errors import ShortageError
from localkit.shortage import check_machine, explain, trouble_storing
from support.stack import COMMAND, Stack, wait_until

WORDS = [
    ("Code: 243. DB::Exception: Cannot reserve 1.00 MiB (NOT_ENOUGH_SPACE)", "The disk of "),
    ("[Errno 28] No space left on device", "The disk of "),
    ("errno: 30, strerror: Read-only file system", "is read-only"),
    ("CANNOT_CREATE_TIMER ... errno: 24, strerror: Too many open files", "may open only "),
]


@pytest.mark.parametrize(("words", "reason"), WORDS)
def test_words_of_others_become_one_sentence(tmp_path: Path, words: str, reason: str) -> None:
    """Which directory or limit, how much there is, what to do."""
    assert reason in (explain(words, tmp_path) or "")


def test_other_words_stay(tmp_path: Path) -> None:
    """A config that is refused is not a shortage."""
    assert explain("models.broken: missing field `providers`", tmp_path) is None


def test_a_start_without_descriptors_says_so(make_stack: Callable[..., Stack]) -> None:
    """`ulimit -n 64`: the limit is named, and the config is not blamed."""
    stack = make_stack()

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    done = subprocess.run(
        [COMMAND, "up", f"--configs={stack.configs}", f"--data-dir={stack.data_dir}", "--gateway-port=0"],
        preexec_fn=limit,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "may open only 64 files (`ulimit -n`), which is too few." in done.stderr
    assert "config" not in done.stderr


def test_health_is_red_while_nothing_can_be_stored(make_stack: Callable[..., Stack]) -> None:
    """The data directory cannot be written: 503 with the reason, a line each time it changes, then green again."""
    stack = make_stack().start()
    health = stack.url + "/health"
    blocked = stack.data_dir / "clickhouse" / "tmp"
    assert httpx.get(health, trust_env=False).status_code == 200
    probe = blocked / f".storing-{stack.pids()['clickhouse']}"
    probe.mkdir()  # the probe of a full disk, without a disk
    wait_until(lambda: httpx.get(health, trust_env=False).status_code == 503)
    answer = httpx.get(health, trust_env=False).json()
    assert answer["clickhouse"] == "error"
    assert "cannot be written" in answer["reason"]
    stack.wait_said("Rows cannot be stored now, and /health says so: ")
    probe.rmdir()
    wait_until(lambda: httpx.get(health, trust_env=False).status_code == 200)
    stack.wait_said("Rows can be stored again.")


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    """The probe leaves nothing behind, and names what is wrong."""
    assert trouble_storing(tmp_path) == ""
    assert list(tmp_path.iterdir()) == []
    assert "cannot be written" in trouble_storing(tmp_path / "gone")


def test_too_few_descriptors_are_refused_before_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The soft limit is raised to the hard one; if that is too low, the message has the number."""
    limits = {"now": (50, 50)}
    monkeypatch.setattr(resource, "getrlimit", lambda kind: limits["now"])
    with pytest.raises(ShortageError, match="may open only 50 files"):
        check_machine(tmp_path / "not" / "there")
