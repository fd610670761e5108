"""ClickHouse over HTTP beside the same engine in process: `python -m benchmarks.clickhouse_http`.

Both sides do the same statements in the same run, one after the other; what counts is the ratio.
"""

import http.client
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote, urlsplit

SECONDS = 1.5
ROWS = "".join(f'{{"id":{number},"name":"somebody"}}\n' for number in range(1000)).encode()
TABLE = "CREATE TABLE t (id UInt64, name String) ENGINE = MergeTree ORDER BY id"
STATEMENTS = {
    "read a number": b"SELECT 1",
    "read a row by key": b"SELECT name FROM t WHERE id = 42 LIMIT 1 FORMAT JSONEachRow",
    "insert a row": b'INSERT INTO t FORMAT JSONEachRow\n{"id":1,"name":"somebody"}\n',
    "insert 1000 rows": b"INSERT INTO t FORMAT JSONEachRow\n" + ROWS,
}
LARGE = "SELECT number, repeat('x', 90) AS s FROM numbers(2000000) FORMAT {}"
FORMATS = ("TSV", "JSONEachRow", "Native")

Ask = Callable[[bytes], int]


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as scratch:
        inside = _measured(*_in_process(Path(scratch) / "inside"))
        outside = _measured(*_over_http(Path(scratch) / "outside"))
    print("| | in process | over HTTP | ratio |\n|---|---|---|---|")
    for name, unit in inside:
        a, b = inside[name, unit], outside[name, unit]
        print(f"| {name} | {a:,.0f} {unit} | {b:,.0f} {unit} | {b / a:.2f} |")


def _measured(connect: Callable[[], Ask], close: Callable[[], None]) -> dict[tuple[str, str], float]:
    connect()(TABLE.encode())
    figures = {}
    for name, statement in STATEMENTS.items():
        for clients in (1, 8):
            label = f"{name}, {clients} client{'s' * (clients > 1)}"
            figures[label, "/s"] = _rate(connect, statement, clients)
    for format in FORMATS:
        ask, began = connect(), time.perf_counter()
        size = ask(LARGE.format(format).encode())
        figures[f"read a large {format}", "MB/s"] = size / 1e6 / (time.perf_counter() - began)
    close()
    return figures


def _rate(connect: Callable[[], Ask], statement: bytes, clients: int) -> float:
    until = time.perf_counter() + SECONDS

    def work(_: int) -> int:
        ask, done = connect(), 0
        while time.perf_counter() < until:
            ask(statement)
            done += 1
        return done

    with ThreadPoolExecutor(clients) as pool:
        return sum(pool.map(work, range(clients))) / SECONDS


def _in_process(directory: Path) -> tuple[Callable[[], Ask], Callable[[], None]]:
    import chdb

    from chdb_http.engine import chdb_path
    from chdb_http.engine_config import write_config

    directory.mkdir(exist_ok=True)
    write_config(directory.parent)
    path = chdb_path(directory)
    first = chdb.connect(path)

    def connect() -> Ask:
        connection = chdb.connect(path)

        def ask(statement: bytes) -> int:
            if statement.startswith(b"SELECT number"):  # large: block by block, as the server sends it
                return sum(chunk.size() for chunk in connection.send_query(statement.decode(), "TSV"))
            return len(connection.query(statement, "TSV").bytes() or b"")

        return ask

    return connect, first.close


def _over_http(directory: Path) -> tuple[Callable[[], Ask], Callable[[], None]]:
    from chdb_http import command_line

    server = subprocess.Popen(command_line(directory, port=0), stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    url = urlsplit(server.stdout.readline().split()[1])
    local = threading.local()

    def connect() -> Ask:
        local.connection = connection = http.client.HTTPConnection(url.hostname or "", url.port)

        def ask(statement: bytes) -> int:
            head, _, rows = statement.partition(b"\n")
            target, body = (f"/?query={quote(head)}", rows) if rows else ("/", statement)
            connection.request("POST", target, body)
            answer, size = connection.getresponse(), 0
            while piece := answer.read(1 << 20):
                size += len(piece)
            assert answer.status == 200
            return size

        return ask

    def close() -> None:
        server.terminate()
        server.wait()

    return connect, close


if __name__ == "__main__":
    main()
