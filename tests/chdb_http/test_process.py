"""Starting, stopping, and what is there afterwards."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from chdb_http import command_line
from support.clickhouse import Server, refused
from support.stack import alive, wait_until

TABLE = "CREATE TABLE IF NOT EXISTS t (id UInt64) ENGINE = MergeTree ORDER BY id"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopping(tmp_path: Path, number: int) -> None:
    """A query in flight is answered, the exit code is 0, nothing is logged, and the rows are there next time."""
    running = Server(tmp_path / "data")
    running.run(TABLE)
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(
            running.post, "INSERT INTO t SELECT number + sleepEachRow(0.1) FROM numbers(8)", max_block_size=1
        )
        running.wait_until_running("sleepEachRow")
        running.process.send_signal(number)
        assert slow.result().status_code == 200
    assert running.stop() == (0, "")
    with Server(tmp_path / "data") as again:
        assert again.run("SELECT count() FROM t") == "8\n"


def test_small_parts_are_one_file(tmp_path: Path) -> None:
    """Who logs one row at a time has many; a data directory of before, a dozen files a part, goes on beside that."""
    storage = "SELECT part_storage_type FROM system.parts WHERE table = 't' AND active ORDER BY modification_time, name"
    with Server(tmp_path / "data") as running:
        running.run(TABLE + " SETTINGS min_bytes_for_full_part_storage = 0")
        running.run("INSERT INTO t VALUES (1)")
        running.run("ALTER TABLE t RESET SETTING min_bytes_for_full_part_storage")
        assert running.run(storage) == "Full\n"
    with Server(tmp_path / "data") as again:
        again.run("INSERT INTO t VALUES (2)")
        assert again.run(storage).split() == ["Full", "Packed"]
        again.run("OPTIMIZE TABLE t FINAL")
        assert again.run(storage) == "Packed\n"
        assert again.run("SELECT id FROM t ORDER BY id") == "1\n2\n"


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


def test_stopping_twice_is_stopping_now(tmp_path: Path) -> None:
    """A second signal does not wait for an endless query."""
    running = Server(tmp_path / "data")
    with ThreadPoolExecutor() as pool:
        endless = pool.submit(running.post, "SELECT count() FROM numbers(100000000000000) WHERE NOT ignore(number)")
        running.wait_until_running("NOT ignore")
        running.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not _accepts(running.port))
        assert running.process.poll() is None
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(timeout=10) == 0
        assert endless.exception() is not None or endless.result().status_code != 200
    running.stop()


@pytest.mark.slow
def test_kill_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """After kill -9 under load, five times over, every row whose insert was answered is there."""
    acknowledged: set[int] = set()
    begun = 0
    for _ in range(5):
        running = Server(tmp_path / "data")
        running.run(TABLE)
        assert acknowledged <= set(map(int, running.run("SELECT id FROM t").split()))
        stop = threading.Event()

        def insert(client: int, begun: int = begun, url: str = running.url, stop: threading.Event = stop) -> None:
            with httpx.Client(base_url=url) as http:
                for number in range(client, 1_000_000, 8):
                    try:
                        answer = http.post(
                            "/", params={"query": "INSERT INTO t FORMAT TSV"}, content=f"{begun + number}\n"
                        )
                    except httpx.TransportError:
                        return
                    assert answer.status_code == 200
                    acknowledged.add(begun + number)

        with ThreadPoolExecutor(8) as pool:
            for client in range(8):
                pool.submit(insert, client)
            wait_until(lambda begun=begun: sum(id >= begun for id in acknowledged.copy()) > 10)  # type: ignore[misc]
            running.process.kill()
        running.stop()
        begun += 1_000_000
    assert len(acknowledged) > 20
    with Server(tmp_path / "data") as last:
        stored = last.run("SELECT id FROM t").split()
    assert acknowledged <= set(map(int, stored))
    assert len(stored) == len(set(stored))


def test_one_server_per_directory(tmp_path: Path) -> None:
    """A second server says which process has the directory; after kill -9 the directory is free."""
    first = Server(tmp_path)
    code, out, errors = refused("--port", "0", "--data-dir", str(tmp_path))
    assert (code, out) == (1, "")
    assert errors.startswith("chdb_http: ")
    assert f"process {first.process.pid}" in errors
    assert errors.count("\n") == 1
    assert first.run("SELECT 1") == "1\n"
    first.process.kill()
    first.stop()
    with Server(tmp_path) as second:
        assert second.run("SELECT 1") == "1\n"


def test_foreign_directories(tmp_path: Path) -> None:
    """A directory with other people's files is left as it is."""
    (tmp_path / "thesis.tex").write_text("x")
    code, out, errors = refused("--port", "0", "--data-dir", str(tmp_path))
    assert (code, out) == (1, "")
    assert errors.startswith("chdb_http: ")
    assert "thesis.tex" in errors
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("marker", ["", "{", "[]", '{"layout": 99}', '{"layout": 1'])
def test_damaged_directories(tmp_path: Path, marker: str) -> None:
    """A marker that cannot be read, or is another version's, is one clear message."""
    (tmp_path / "t0dspy-clickhouse.json").write_text(marker)
    code, out, errors = refused("--port", "0", "--data-dir", str(tmp_path))
    assert (code, out, errors.count("\n")) == (1, "", 1)
    assert errors.startswith("chdb_http: ")


@pytest.mark.parametrize("where", ["/proc/nowhere", "/dev/null/data", "file", "closed"])
def test_unusable_directories(tmp_path: Path, where: str) -> None:
    """A directory that cannot be made or written is one clear message."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "closed").mkdir(mode=0o000)
    if where == "closed" and os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    code, out, errors = refused("--port", "0", "--data-dir", str(tmp_path / where))
    assert (code, out, errors.count("\n")) == (1, "", 1)
    assert errors.startswith("chdb_http: Cannot use the data directory")


def test_odd_directory_names(tmp_path: Path) -> None:
    """A directory may be called what it likes."""
    odd = tmp_path / "a b&mode=ro;x=1#%20[1]'\"é"
    with Server(odd) as server:
        server.run(TABLE)
        server.run("INSERT INTO t VALUES (1)")
    with Server(odd) as server:
        assert server.run("SELECT * FROM t") == "1\n"


@pytest.mark.parametrize("name", ["a*", "a?mode=ro", "{a}"])
def test_directories_that_the_engine_takes_for_patterns(tmp_path: Path, name: str) -> None:
    """... except for what the engine cannot bear."""
    code, out, errors = refused("--port", "0", "--data-dir", str(tmp_path / name))
    assert (code, out, errors.count("\n")) == (1, "", 1)
    assert not list(tmp_path.iterdir())


def test_a_taken_port(tmp_path: Path) -> None:
    """A port in use is one clear message, before anything is made."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, out, errors = refused("--port", port, "--data-dir", str(tmp_path / "data"))
    assert (code, out, errors.count("\n")) == (1, "", 1)
    assert errors.startswith(f"chdb_http: Cannot listen on 127.0.0.1 port {port}")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.1"])
def test_an_address_that_is_not_ours(tmp_path: Path, host: str) -> None:
    """So is a host that is not this one."""
    code, out, errors = refused("--host", host, "--port", "0", "--data-dir", str(tmp_path / "data"))
    assert (code, out, errors.count("\n")) == (1, "", 1)
    assert errors.startswith(f"chdb_http: Cannot listen on {host}")


def test_a_missing_password(tmp_path: Path) -> None:
    """A password variable that is not set is not an empty password."""
    code, _, errors = refused("--data-dir", str(tmp_path), "--user", "u", "--password-env", "NO_SUCH_VARIABLE")
    assert (code, "NO_SUCH_VARIABLE" in errors) == (1, True)


def test_open_to_others(tmp_path: Path) -> None:
    """Listening beyond this machine without a password is said on stderr, and any host name is served."""
    running = Server(tmp_path, host="0.0.0.0")
    try:
        answer = httpx.post(
            f"http://127.0.0.1:{running.port}/", content="SELECT 1", headers={"host": "clickhouse:8123"}
        )
        assert answer.text == "1\n"
    finally:
        _, errors = running.stop()
    assert "does not require a password" in errors


def test_ending_with_the_parent(tmp_path: Path) -> None:
    """When the process that started it is killed, the server stops and frees its directory."""
    parent = f"""
import subprocess, time
from pathlib import Path
from chdb_http import command_line
server = subprocess.Popen(command_line(Path({str(tmp_path / "data")!r}), port=0), stdout=subprocess.PIPE, text=True)
print(server.pid, server.stdout.readline(), flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        pid, ready, _ = started.stdout.readline().split()
        started.kill()
    assert ready == "ready"
    wait_until(lambda: not alive(int(pid)))
    with Server(tmp_path / "data") as again:
        assert again.run("SELECT 1") == "1\n"


def test_importing_t0dspy_is_light() -> None:
    """Neither `import t0dspy` nor the command line of the server needs the engine."""
    code = "import sys, chdb_http; sys.exit(any(m in sys.modules for m in ('chdb', 'starlette', 'lz4')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_signal_before_it_is_ready(tmp_path: Path) -> None:
    """A server that is stopped while it starts says nothing, and leaves a directory that can be used."""
    for pause in (0.1, 0.5, 0.9):
        command = command_line(tmp_path / "data", port=0)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            time.sleep(pause)
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=30)
        assert errors == ""
    with Server(tmp_path / "data") as server:
        assert server.run("SELECT 1") == "1\n"
