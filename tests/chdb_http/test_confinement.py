"""Nothing that SQL can say gets out of the database; the kernel sees to it, and the grants give it words."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from chdb_http import confinement, engine_config, landlock
from support import hostile_statements as hostile
from support.clickhouse import Server

PASSWORD = "right-password-for-the-test"
MARKER = "MARKER-42"

needs_landlock = pytest.mark.skipif(
    landlock.supported_abi() < landlock.TCP_ABI, reason="this kernel has no Landlock that refuses TCP"
)


class World:
    """A file that must not be read, a directory that must stay empty, and a server that nobody may call."""

    def __init__(self, directory: Path) -> None:
        self.folder, self.out = directory / "secret", directory / "out"
        self.folder.mkdir()
        self.out.mkdir()
        self.secret = self.folder / "secret.csv"
        self.secret.write_text(f"c\n{MARKER}\n")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.calls = self.listener.getsockname()[1], 0
        threading.Thread(target=self._count, daemon=True).start()

    def names(self, link: Path) -> dict[str, str]:
        address = f"127.0.0.1:{self.port}"
        return {
            "secret": str(self.secret),
            "folder": str(self.folder),
            "out": str(self.out),
            "link": str(link),
            "port": str(self.port),
            "address": address,
            "url": f"http://{address}",
        }

    def _count(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.calls += 1
            connection.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A world of the test's own, beside the server's data."""
    made = World(tmp_path)
    yield made
    made.listener.close()


def _started(directory: Path, **options: bool) -> Server:
    data = directory / "data"
    environment = {"P": PASSWORD, "PROVIDER_KEY": MARKER}
    server = Server(data, user="default", password_env="P", environment=environment, **options)
    server.http.auth = ("default", PASSWORD)
    server.run("CREATE DATABASE try")
    server.run("CREATE TABLE try.kept (c String) ENGINE = MergeTree ORDER BY c")
    return server


@pytest.fixture(scope="module")
def confined(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server as `t0dspy up` starts it."""
    server = _started(tmp_path_factory.mktemp("confined"))
    yield server
    assert server.stop()[0] == 0


@pytest.fixture(scope="module")
def unconfined(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server where there is no Landlock: the grants are alone."""
    server = _started(tmp_path_factory.mktemp("unconfined"), unconfined=True)
    yield server
    code, errors = server.stop()
    assert code == 0
    assert confinement.still_open(0) in errors


def _answers(server: Server, group: str, world: World) -> list[str]:
    """Send a group's statements with the right password, by POST and by GET; what links there are lead outside."""
    data = Path(str(server.data_dir))
    link = data / "engine" / "user_files" / f"link{world.port}"
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(world.folder)
    answers = []
    for statement in hostile.attempts(group, **world.names(link)):
        answers += [answer.text for answer in (server.post(statement), server.get(statement))]
    return answers


def _effects(answers: list[str], world: World) -> list[str]:
    leaked = [answer for answer in answers if MARKER in answer.replace("MARKER-42' AS", "")]
    written = [str(path) for path in (*world.out.iterdir(), *world.folder.iterdir()) if path != world.secret]
    return [*leaked, *written, *(["a connection"] if world.calls else [])]


@needs_landlock
@pytest.mark.parametrize("group", hostile.GROUPS)
def test_no_statement_reaches_out(confined: Server, world: World, group: str) -> None:
    """No secret comes back, no file appears, nobody is called, and the server goes on."""
    assert _effects(_answers(confined, group, world), world) == []
    assert confined.run("SELECT 1") == "1\n"


@pytest.mark.parametrize("group", [name for name in hostile.GROUPS if not name.endswith("!")])
def test_grants_alone_refuse(unconfined: Server, world: World, group: str) -> None:
    """Without the kernel, what ClickHouse itself can refuse is refused all the same."""
    assert _effects(_answers(unconfined, group, world), world) == []


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM file('{secret}')",
        "INSERT INTO FUNCTION file('{out}/x', 'CSV', 'a String') SELECT 'x'",
        "SELECT * FROM url('{url}/x', 'CSV', 'a String')",
        "SELECT * FROM remote('{address}', system.one)",
        "CREATE TABLE try.t (c String) ENGINE = File(CSV)",
        "CREATE DICTIONARY try.d (k UInt64) PRIMARY KEY k SOURCE(EXECUTABLE(command 'id' format 'CSV')) "
        "LAYOUT(FLAT()) LIFETIME(0)",
        "BACKUP TABLE try.kept TO Disk('default', 'x')",
        "CREATE USER try_u",
        "CREATE NAMED COLLECTION try_n AS a = 1",
    ],
)
def test_refusals_have_words(confined: Server, world: World, statement: str) -> None:
    """A refusal is ClickHouse's own: which right is missing."""
    answer = confined.post(statement.format(**world.names(world.folder)))
    assert (answer.status_code, "ACCESS_DENIED" in answer.text) == (403, True), answer.text


def test_a_query_cannot_take_all_memory(confined: Server) -> None:
    """A query may lower its memory limit, and neither raise it nor switch it off."""
    limit = engine_config.query_memory()
    assert confined.run("SELECT getSetting('max_memory_usage')") == f"{limit}\n"
    for other in (0, limit + 1):
        assert "max_memory_usage" in confined.post(f"SELECT 1 SETTINGS max_memory_usage = {other}").text
        assert confined.post("SELECT 1", max_memory_usage=other).status_code != 200
    bomb = confined.post("SELECT groupArray(number) FROM numbers(1e12)", max_memory_usage=100_000_000)
    assert "MEMORY_LIMIT_EXCEEDED" in bomb.text
    assert confined.run("SELECT 1") == "1\n"


@needs_landlock
def test_the_process_can_write_three_directories_only(confined: Server) -> None:
    """It cannot write its own configuration, its lock, or what the stack keeps beside its directory."""
    data = confined.data_dir
    for name in ("engine.xml", "users.xml", "planted", "../stack.json", "../clickhouse-password"):
        confined.post(f"EXPLAIN SELECT 1 INTO OUTFILE '{name}' APPEND")
        confined.post(f"EXPLAIN SELECT 1 INTO OUTFILE '{data / name}' TRUNCATE")
    assert "EXPLAIN" not in (data / "engine.xml").read_text() + (data / "users.xml").read_text()
    assert not (data / "planted").exists()
    assert not (data.parent / "stack.json").exists()
    assert not (data.parent / "clickhouse-password").exists()


@needs_landlock
def test_children_and_threads_are_confined() -> None:
    """What holds for the process holds for what it starts; nothing can be executed."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            landlock.restrict_files([], [Path("/usr/lib")])
            results: list[object] = []
            thread = threading.Thread(target=lambda: results.append(_refusal(Path("/etc/passwd").read_text)))
            thread.start()
            thread.join()
            results.append(_refusal(lambda: os.execv("/bin/true", ["true"])))
            results.append(_refusal(lambda: socket.create_connection(("127.0.0.1", 1))))
            os.write(writer, repr(results).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader) as said:
        assert said.read() == "['PermissionError', 'PermissionError', 'PermissionError']"


def _refusal(attempt: object) -> str:
    try:
        attempt()  # type: ignore[operator]
    except OSError as error:
        return type(error).__name__
    return "none"


MADE_BY_AN_EARLIER_VERSION = """
import sys, chdb

connection = chdb.connect(sys.argv[1])
connection.query("CREATE TABLE kept (number Int32) ENGINE = MergeTree ORDER BY number")
connection.query("INSERT INTO kept VALUES (1), (2)")
print(connection.query("SELECT engine FROM system.databases WHERE name = 'default'"))
connection.close()
"""


def test_tables_of_default_are_kept(tmp_path: Path) -> None:
    """A data directory of an earlier version, whose `default` is an overlay of files, keeps its tables and rows."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "t0dspy-clickhouse.json").write_text('{"layout": 1}')
    command = [sys.executable, "-c", MADE_BY_AN_EARLIER_VERSION, str(data / "engine")]
    assert "Overlay" in subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    for rows in ("3\n", "6\n"):  # the second start finds what the first one wrote
        with Server(data) as server:
            assert server.run("SELECT sum(number) FROM default.kept") == rows
            server.run("INSERT INTO kept VALUES (3)")


OPEN_BEHIND_A_MOVED_ENVIRONMENT = """
import ctypes, os, sys
from pathlib import Path
from chdb_http import confinement
from chdb_http.data_directory import hold

with hold(Path(sys.argv[1])) as home:
    confinement.prepare(home)
    variables = ctypes.c_char_p(f"TMPDIR={os.environ['TMPDIR']}".encode())
    address = ctypes.cast(variables, ctypes.c_void_p).value
    moved = (ctypes.c_ulong * 5)(address, 0, 33, 0x1000, 0)  # 33 is AT_SYSINFO_EHDR, the address of the vDSO
    ctypes.c_void_p.in_dll(ctypes.CDLL(None), "environ").value = ctypes.addressof(moved)
    from chdb_http.engine import Engine

    Engine(home, {}).close()
"""


@needs_landlock
def test_the_engine_reads_the_auxiliary_vector(tmp_path: Path) -> None:
    """The engine does not take the memory behind a moved environment for the auxiliary vector, which crashed it."""
    command = [sys.executable, "-c", OPEN_BEHIND_A_MOVED_ENVIRONMENT, str(tmp_path / "data")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(
    ("abi", "words"),
    [(0, "cannot confine ClickHouse"), (1, "cannot refuse TCP"), (3, "cannot refuse TCP"), (4, None), (9, None)],
)
def test_what_stays_open_is_said(abi: int, words: str | None) -> None:
    """A kernel without Landlock, or with one that cannot refuse connections, is warned about, in exact words."""
    said = confinement.still_open(abi)
    assert said is None if words is None else words in str(said)
