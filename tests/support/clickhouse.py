"""A ClickHouse server of a test's own, as a process."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import clickhouse_connect
import httpx
from clickhouse_connect.driver.client import Client

from chdb_http import command_line
from support.stack import wait_until
from t0dspy.stack.gateway.row_watcher import EARLY_TABLES

RUNNING = "SELECT count() FROM system.processes WHERE query LIKE '%{}%' AND query NOT LIKE '%system.processes%'"


def _unmeasured(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without coverage's variables, because the confined server cannot write its data file."""
    return {name: value for name, value in environ.items() if not name.startswith("COVERAGE_")}


class Server:
    """`python -m chdb_http` on a free port, from its first `ready` to its end."""

    def __init__(
        self, data_dir: Path, *extra: str, environment: Mapping[str, str] | None = None, **options: Any
    ) -> None:
        command = [*command_line(data_dir, **{"port": 0, "early_tables": EARLY_TABLES, **options}), *extra]
        self.data_dir = data_dir
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**_unmeasured(os.environ), **(environment or {})},
        )
        assert self.process.stdout is not None
        first = self.process.stdout.readline()
        if not first.startswith("ready "):
            raise AssertionError(f"not ready: {first!r} {self.process.communicate()}")
        self.url = first.split()[1]
        self.http = httpx.Client(base_url=self.url, timeout=60)

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port is not None
        return port

    def post(
        self, sql: str | bytes = "", *, headers: Mapping[str, str] | None = None, **parameters: Any
    ) -> httpx.Response:
        return self.http.post("/", params=parameters, content=sql, headers=headers)

    def get(self, sql: str, *, headers: Mapping[str, str] | None = None, **parameters: Any) -> httpx.Response:
        return self.http.get("/", params={"query": sql, **parameters}, headers=headers)

    def wait_until_running(self, text: str) -> None:
        """Wait until a statement that contains `text` runs."""
        wait_until(lambda: self.run(RUNNING.format(text)) != "0\n")

    def run(self, sql: str | bytes, **parameters: Any) -> str:
        """The text of an answer that must be fine."""
        answer = self.post(sql, **parameters)
        assert answer.status_code == 200, answer.text
        return answer.text

    def client(self, **options: Any) -> Client:
        return clickhouse_connect.get_client(host="127.0.0.1", port=self.port, **options)

    @property
    def resident_megabytes(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) // 1024

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Exit code and stderr, after `number`."""
        self.http.close()
        if self.process.poll() is None:
            self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop(signal.SIGKILL if kind else signal.SIGTERM)


def refused(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a server that does not start."""
    command = [sys.executable, "-m", "chdb_http", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return ended.returncode, ended.stdout, ended.stderr
