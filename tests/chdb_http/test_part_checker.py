"""Parts that a full disk has truncated are found, and their rows are stored again."""

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from chdb_http.part_checker import LIFETIME, PartChecker
from chdb_http.segment import Entry, Segment
from support.clickhouse import Server
from support.small_disk import can_mount, small_disk
from support.stack import wait_until
from support.tensorzero_rows import DATABASE, chat, inferences, send, was_kept
from support.truncating import truncate

pytestmark = pytest.mark.skipif(not can_mount(), reason="mounting is not permitted here")

_TESTS = Path(__file__).parents[1]
_PARTS = "SELECT path FROM system.parts WHERE active AND database = 'tensorzero' AND table = 'InferenceById'"


@pytest.fixture
def disk(tmp_path: Path, migrated: Path) -> Iterator[Path]:
    """A data directory with TensorZero's tables on a disk of 32 MiB, which counts as nearly full."""
    with small_disk(tmp_path / "disk", 32) as directory:
        shutil.copytree(migrated / "clickhouse", directory / "data", symlinks=True)
        yield directory / "data"


def fill(disk: Path, room: int = 0) -> Path:
    """Write a file until the disk has no more than `room` bytes."""
    filler, reserve = disk.parent / "filler", disk.parent / "reserve"
    reserve.write_bytes(bytes(room))
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    reserve.unlink()
    return filler


def test_parts_are_checked_while_the_disk_is_nearly_full_and_some_minutes_longer(tmp_path: Path) -> None:
    """After that, the engine has removed the parts that a merge has replaced."""
    now = [0.0]
    with small_disk(tmp_path / "disk", 80) as directory:
        checker, filler = PartChecker(directory, lambda: now[0]), directory / "filler"
        assert not checker.is_needed()
        filler.write_bytes(bytes(40 << 20))
        assert checker.is_needed()
        filler.unlink()
        now[0] = LIFETIME - 1
        assert checker.is_needed()
        now[0] = LIFETIME
        assert not checker.is_needed()


@pytest.mark.parametrize(("part", "behind_the_view"), [("new", 4), ("old", 3)])
def test_an_insertion_with_a_truncated_part(disk: Path, part: str, behind_the_view: int) -> None:
    """The next attempt stores what is missing, and an attempt after a restart stores nothing.

    The engine uses the number of a detached part again, so the next attempt must not compare with that number.
    """
    with Server(disk) as server:
        send(server, "ChatInference", chat("before"))
    rows = "\n".join(json.dumps(chat("f")) for _ in range(3)).encode()
    Segment.after(disk / "journal", 0).add(Entry(DATABASE, "ChatInference", (), rows))
    command = [sys.executable, "-m", "support.truncating", str(disk), part]
    ran = subprocess.run(command, cwd=_TESTS, capture_output=True, text=True, check=False)
    lines = ran.stdout.splitlines()
    assert lines[:3] == ["NOT_ENOUGH_SPACE", "stored", "stored"], ran.stderr
    assert lines[3:] == ["ChatInference 4", f"InferenceById {behind_the_view}", "InferenceTag 8"]


@pytest.mark.parametrize("rows_follow", [True, False])
def test_a_merge_that_truncates_its_result(disk: Path, function: str, rows_follow: bool) -> None:
    """After the next insertion, or after some seconds, the engine uses the parts that were merged again."""
    server = Server(disk)
    for number in range(1, 4):
        send(server, "ChatInference", chat(function))
        assert set(inferences(server, function).values()) == {number}
    server.run("OPTIMIZE TABLE InferenceById FINAL", database=DATABASE)
    (merged,) = server.run(_PARTS).splitlines()
    truncate(Path(merged))
    if rows_follow:
        assert was_kept(send(server, "ChatInference", chat(function)))
    else:
        wait_until(lambda: server.run("SELECT count() FROM system.detached_parts") == "1\n")
    assert set(inferences(server, function).values()) == {3 + rows_follow}
    assert server.run("SELECT table, reason FROM system.detached_parts") == "InferenceById\tbroken-on-start\n"
    code, errors = server.stop()
    assert code == 0
    assert "of InferenceById is truncated, so the table is loaded again" in errors


def test_a_row_that_makes_none_behind_a_view(disk: Path, function: str) -> None:
    """A row without tags has no block in the tables of tags, which is no sign of a truncated part."""
    with Server(disk) as server:
        for number in range(1, 3):
            assert was_kept(send(server, "ChatInference", chat(function, tags={})))
            counts = inferences(server, function, "ChatInference", "InferenceById", "InferenceTag", "TagInference")
            assert list(counts.values()) == [number, number, 0, 0]


def test_a_row_that_the_log_cannot_take(disk: Path, function: str) -> None:
    """The client gets ClickHouse's error for a full disk, nothing of the row is stored, and later rows are."""
    with Server(disk) as server:
        assert was_kept(send(server, "ChatInference", chat(function)))
        assert set(inferences(server, function).values()) == {1}
        filler = fill(disk)
        answer = send(server, "ChatInference", chat(function, input="x" * 100_000))
        assert (answer.status_code, answer.headers["x-clickhouse-exception-code"]) == (500, "243")
        assert "The write-ahead log cannot be written" in answer.text
        filler.unlink()
        assert was_kept(send(server, "ChatInference", chat(function)))
        assert set(inferences(server, function).values()) == {2}


def test_rows_that_the_log_takes_and_the_engine_does_not(disk: Path, function: str) -> None:
    """Queries fail with the reason until there is room; then each row is in each table once."""
    with Server(disk) as server:
        filler = fill(disk, room=400_000)  # the engine reserves 1 MiB
        assert was_kept(send(server, "ChatInference", chat(function)))
        assert "NOT_ENOUGH_SPACE" in server.post("SELECT 1 FROM ChatInference", database=DATABASE).text
        filler.unlink()
        wait_until(lambda: server.post("SELECT 1 FROM ChatInference", database=DATABASE).status_code == 200)
        assert set(inferences(server, function).values()) == {1}


def test_a_disk_that_is_full_from_time_to_time(disk: Path, function: str) -> None:
    """Wherever a full disk interrupts an insertion, each acknowledged row is in each table once."""
    over, acknowledged = threading.Event(), 0

    def fill_and_free() -> None:
        while not over.is_set():
            fill(disk).unlink()

    with Server(disk) as server:
        filling = threading.Thread(target=fill_and_free)
        filling.start()
        for _ in range(60):
            answer = send(server, "ChatInference", chat(function))
            acknowledged += answer.status_code == 200
        over.set()
        filling.join()
        wait_until(lambda: server.post("SELECT 1 FROM ChatInference", database=DATABASE).status_code == 200)
        counts = inferences(server, function)
        assert counts == dict.fromkeys(counts, counts["ChatInference"])
        assert acknowledged <= counts["ChatInference"] <= 60
