"""Many at once, large results, clients that go away."""

import contextlib
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from support.clickhouse import RUNNING, Server
from support.stack import wait_until

ENDLESS = "SELECT count() FROM numbers(100000000000000) WHERE NOT ignore(number)"


def test_inserts_during_a_long_read(server: Server, table: str) -> None:
    """A read that takes seconds holds up neither inserts nor other reads."""
    with ThreadPoolExecutor() as pool:
        long = pool.submit(server.post, f"SELECT sum(sleepEachRow(0.1)) FROM numbers(60) -- {table}", max_block_size=1)
        server.wait_until_running(table)
        for number in range(20):
            server.run(f"INSERT INTO {table} VALUES ({number}, 'x')")
        assert server.run(f"SELECT count() FROM {table}") == "20\n"
        assert not long.done()
        assert long.result().status_code == 200


def test_many_clients(server: Server, table: str) -> None:
    """Sixteen clients at once: every row is stored once, every query has its own database and settings."""

    def work(client: int) -> None:
        with httpx.Client(base_url=server.url, timeout=60) as http:
            for number in range(20):
                sql = f"INSERT INTO t VALUES ({client * 1000 + number}, 'x')"
                database = table.removesuffix(".t")
                assert http.post("/", params={"database": database}, content=sql).status_code == 200
                mine = {"database": database, "max_block_size": str(100 + client)}
                answer = http.post("/", params=mine, content="SELECT currentDatabase(), getSetting('max_block_size')")
                assert answer.text == f"{database}\t{100 + client}\n"

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))
    assert server.run(f"SELECT count(), uniqExact(id) FROM {table}") == "320\t320\n"


@pytest.mark.parametrize("format", ["TSV", "JSON", "Native", "CSVWithNames"])
def test_large_results_do_not_sit_in_memory(tmp_path: Path, format: str) -> None:
    """300 MB go through a server whose memory grows by a fraction of it, read slowly or quickly."""
    with Server(tmp_path) as server:
        server.run("SELECT number, repeat('x', 50) FROM numbers(100000) FORMAT " + format)
        before, received, most = server.resident_megabytes, 0, 0
        sql = f"SELECT number, repeat('x', 92) AS s FROM numbers(3000000) FORMAT {format}"
        with server.http.stream("POST", "/", content=sql, headers={"accept-encoding": ""}) as answer:
            for count, piece in enumerate(answer.iter_bytes(1 << 20)):
                received += len(piece)
                if count % 20 == 0:
                    time.sleep(0.01)
                    most = max(most, server.resident_megabytes)
        assert received > 300_000_000
        assert most - before < 120, f"{before} MB grew to {most} MB"


def test_waiting_for_the_end_of_a_large_result(tmp_path: Path) -> None:
    """With `wait_end_of_query`, a large result waits on disk."""
    with Server(tmp_path) as server:
        server.run("SELECT 1")
        before = server.resident_megabytes
        answer = server.post("SELECT repeat('x', 99) FROM numbers(2000000)", wait_end_of_query=1)
        assert len(answer.content) == 200_000_000
        assert "x-clickhouse-summary" in answer.headers
        assert server.resident_megabytes - before < 120


def _wait_until_gone(server: Server, mark: str) -> None:
    wait_until(lambda: server.run(RUNNING.format(mark)) == "0\n")


@pytest.mark.parametrize(
    "sql", [ENDLESS, "SELECT number FROM numbers(100000000000)", "EXPLAIN PIPELINE SELECT sleep(3)"]
)
def test_a_client_that_goes_away(server: Server, database: str, sql: str) -> None:
    """A query whose client has gone is cancelled, whether it was counting or sending."""
    mark = f"/* {database} */"
    query = httpx.stream("POST", server.url, content=f"{mark} {sql}", timeout=0.5)
    with contextlib.suppress(httpx.ReadTimeout), query as answer:
        next(answer.iter_bytes())
    _wait_until_gone(server, database)


def test_a_client_that_goes_away_in_a_session(server: Server, database: str) -> None:
    """Its session is free again."""
    with pytest.raises(httpx.ReadTimeout), httpx.Client(timeout=0.3) as http:
        http.post(server.url, params={"session_id": database}, content=f"/* {database} */ {ENDLESS}")
    _wait_until_gone(server, database)
    wait_until(lambda: server.post("SELECT 1", session_id=database).status_code == 200, 5)


def test_an_insert_whose_client_goes_away(server: Server, table: str) -> None:
    """A write that has begun is not torn: it ends."""
    sql = f"INSERT INTO {table} SELECT number, toString(sleepEachRow(0.1)) FROM numbers(10)"
    with pytest.raises(httpx.ReadTimeout), httpx.Client(timeout=0.3) as http:
        http.post(server.url, params={"max_block_size": 1}, content=sql)
    _wait_until_gone(server, table)
    assert server.run(f"SELECT count() FROM {table}") == "10\n"


def test_a_session_does_one_thing_at_a_time(server: Server) -> None:
    """A second query in a busy session is refused at once."""
    with ThreadPoolExecutor() as pool:
        long = pool.submit(server.post, "SELECT sleep(1.5)", session_id="busy")
        server.wait_until_running("sleep(1.5)")
        assert server.post("SELECT 1", session_id="busy").headers["x-clickhouse-exception-code"] == "373"
        assert long.result().status_code == 200
    assert server.post("SELECT 1", session_id="busy").status_code == 200


def _pipes_and_sockets(server: Server) -> int:
    files = Path(f"/proc/{server.process.pid}/fd").iterdir()
    return sum(file.readlink().name.startswith(("pipe:", "socket:")) for file in files if file.is_symlink())


def test_clients_that_hang_up_at_random(server: Server, table: str) -> None:
    """Hundreds of connections cut in the middle leave no query, no pipe and no socket behind."""
    server.run(f"INSERT INTO {table} SELECT number, repeat('x', 100) FROM numbers(100000)")
    before = _pipes_and_sockets(server)
    request = f"POST /?query=SELECT+*+FROM+{table} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode()

    def hang_up(number: int) -> None:
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(request[: -number % 7 or None])
            time.sleep(number % 9 / 1000)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(hang_up, range(300)))
    _wait_until_gone(server, table)
    wait_until(lambda: _pipes_and_sockets(server) <= before + 2)


def test_nothing_of_one_query_is_left_for_the_next(server: Server, database: str) -> None:
    """Parameters, settings, temporary tables and the database of one request are gone in the next."""
    assert server.run("SELECT {secret:String}", param_secret="x") == "x\n"
    for _ in range(3):
        assert server.post("SELECT {secret:String}").headers["x-clickhouse-exception-code"] == "456"
    for sql in (f"USE {database}", "SET max_block_size = 99", "CREATE TEMPORARY TABLE left_over (x UInt8)"):
        server.run(sql)
    server.post("SELECT throwIf(1)", max_block_size=98)
    for _ in range(3):
        assert server.run("SELECT currentDatabase(), getSetting('max_block_size') IN (98, 99)") == "default\t0\n"
        assert server.post("SELECT * FROM left_over").status_code == 404


def test_a_database_that_was_dropped(server: Server) -> None:
    """Connections that stood ready with it know that it is gone, and that it is back."""
    server.run("CREATE DATABASE short_lived")
    assert server.run("SELECT currentDatabase()", database="short_lived") == "short_lived\n"
    server.run("DROP DATABASE short_lived")
    assert server.post("SELECT currentDatabase()", database="short_lived").status_code == 404
    server.run("CREATE DATABASE short_lived")
    assert server.run("SELECT currentDatabase()", database="short_lived") == "short_lived\n"
    server.run("DROP DATABASE short_lived")


@pytest.mark.slow
def test_memory_stays_flat(tmp_path: Path) -> None:
    """Thousands of small requests do not add up."""
    with Server(tmp_path) as server:
        server.run("CREATE TABLE t (id UInt64) ENGINE = MergeTree ORDER BY id")

        def work(count: int) -> None:
            for number in range(count):
                server.run(
                    f"INSERT INTO t FORMAT TSV\n{number}\n"
                    if number % 10 == 0
                    else f"SELECT {number}, * FROM t LIMIT 1"
                )
                server.run("SELECT 1", log_comment=str(number), wait_end_of_query=1)

        work(500)
        before = server.resident_megabytes
        work(1000)
        assert server.resident_megabytes - before < 60
