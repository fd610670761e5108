"""Start, watch, reload and stop the processes of a stack."""

import asyncio
import json
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NoReturn

import httpx

import chdb_http
from t0dspy.artifact.user_config import toml_files
from t0dspy.errors import GatewayError, StackError
from t0dspy.readiness.problems import Problems, as_server_status, find_problems
from t0dspy.stack.gateway.refusals import refusal_message
from t0dspy.stack.gateway.reports import Report
from t0dspy.stack.gateway.row_watcher import EARLY_TABLES, ClickHouse
from t0dspy.stack.processes import credentials, data_dir, ports, programs
from t0dspy.stack.processes.child import Child
from t0dspy.stack.processes.data_dir import Load, Running
from t0dspy.stack.processes.environment import clickhouse_environment, gateway_environment
from t0dspy.stack.processes.plan import Plan

_LEAST = 1.0
"""The least number of seconds between two SIGTERMs, because two at once may arrive as a single one."""
_GRACE = 8.0
"""Seconds that a part may take to cut its requests in flight and to close its files."""
MIGRATIONS = 47
"""The number of rows in TensorZeroMigration after the first start of TensorZero 2026.6.0."""


class Parts:
    """Starts, watches and ends the processes of one stack."""

    def __init__(self, plan: Plan, show: Callable[[str], None], preparing: Callable[[int], None]) -> None:
        self._plan, self._show, self._preparing = plan, show, preparing
        self._children: dict[str, Child] = {}
        self._sockets: list[socket.socket] = []
        self._paths = ExitStack()
        self._env = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self._env.setdefault("T0DSPY_PROGRAMS_KEY", secrets.token_urlsafe(32))
        self._programs_port = 0
        self._load: Load | None = None
        self._clickhouse_url = ""  # with user and password, only for stack.json and the gateway's environment
        self._secrets: dict[str, dict[str, str]] = {}
        self.urls: dict[str, str] = {}
        """The URL of each part, without passwords."""
        self.problems = Problems()

    async def start(self) -> None:
        """Start the parts in order, and return when all of them are ready.

        Raises:
            StackError: a part did not start; the message has the reason.
        """
        starts = {
            "clickhouse": self._start_clickhouse,
            "gateway": self._start_gateway,
            "programs": self._start_programs,
        }
        bound = self._bind_ports()
        self._programs_port = bound.get("programs", self._plan.programs_port)
        for part in self._plan.parts:
            await starts[part](bound[part])
        for name, child in self._children.items():
            child.start_relaying(from_start=name == "clickhouse")  # acknowledged rows may be set aside

    def _write_run_file(self) -> None:
        """Write the file about the running stack. If the disk is full, the old file stays and the stack continues."""
        try:
            data_dir.write_run_file(self._plan.data_dir, self.running())
        except OSError as error:
            path = self._plan.data_dir / data_dir.RUN_FILES["gateway" if "gateway" in self.urls else "clickhouse"]
            self._show(f"{path} cannot be written ({error.strerror}), so other commands do not know the latest state.")

    def running(self) -> Running:
        """Return the description of this stack for its run file."""
        pids = {name: child.pid for name, child in self._children.items()}
        urls = {part: self._clickhouse_url if part == "clickhouse" else url for part, url in self.urls.items()}
        cannot_run = dict(self.problems.cannot_run)
        return Running(os.getpid(), str(self._plan.configs.resolve()), pids, urls, self._load, cannot_run)

    async def check_programs(self) -> None:
        """Find the programs with traffic that cannot run, and write the run file."""
        if "clickhouse" in self.urls and "gateway" not in self.urls:
            data_dir.write_run_file(self._plan.data_dir, self.running())
        status = await programs.read_status(self.urls["programs"]) if "programs" in self.urls else {}
        await self._note_problems(status)

    def reload_gateway(self) -> None:
        """Make the gateway reload its configs, if it has started."""
        if "gateway" in self.urls:
            environment = self._environment("gateway")  # a changed config may name other variables
            self._children["gateway"].write_line(json.dumps(environment))
            self._children["gateway"].signal(signal.SIGHUP)

    async def reload_programs(self) -> str:
        """Make the program server import its programs again, if it has started, and find problems.

        Returns:
            The reason why the program server keeps the old code; empty if it uses the new code.
        """
        status: dict[str, Any] = {}
        if "programs" in self.urls:
            child = self._children["programs"]
            status = await programs.reload(self.urls["programs"], lambda: child.signal(signal.SIGHUP))
        await self._note_problems(status)
        return str(status.get("reload_refused") or "")

    async def _note_problems(self, status: Mapping[str, Any]) -> None:
        if not {"gateway", "programs"} & self.urls.keys():
            return
        keys = dict(os.environ) if "gateway" in self.urls else None
        self.problems = await asyncio.to_thread(find_problems, self._plan.configs, keys, as_server_status(status))
        if "gateway" in self.urls:
            data_dir.write_run_file(self._plan.data_dir, self.running())

    async def watch(self) -> NoReturn:
        """Relay the gateway's reports until a part ends.

        Raises:
            StackError: a part ended by itself.
        """
        endings = {child.ended: child for child in self._children.values()}
        relay = asyncio.create_task(self._relay_reports())
        try:
            done, _ = await asyncio.wait(endings, return_when=asyncio.FIRST_COMPLETED)
        finally:
            relay.cancel()
        child = endings[done.pop()]
        raise StackError(
            f"The part {child.name} (process {child.pid}) has ended by itself: {_ending(child)}. The stack stops."
        )

    async def drain(self) -> None:
        """Stop the parts in order; their requests in flight may take `plan.drain` seconds in total."""
        relay = asyncio.create_task(self._relay_reports())
        clock = asyncio.get_running_loop().time
        end = clock() + self._plan.drain
        for name in ("gateway", "programs", "clickhouse"):
            if name in self._children:
                await self._children[name].stop(patience=max(_LEAST, end - clock()), grace=_GRACE)
        await asyncio.sleep(0)  # a last report
        relay.cancel()

    async def end(self) -> None:
        """Stop all running parts at once, except that ClickHouse has 10 seconds to close its files."""
        patience = {"clickhouse": 10.0}
        await asyncio.gather(*(child.stop(patience.get(name, 0.0)) for name, child in self._children.items()))
        self._close_sockets()
        self._paths.close()

    def _close_sockets(self) -> None:
        while self._sockets:
            self._sockets.pop().close()

    def _bind_ports(self) -> dict[str, int]:
        plan = self._plan
        wanted = {"clickhouse": plan.clickhouse_port, "gateway": plan.gateway_port, "programs": plan.programs_port}
        return {part: self._bind_port(part, wanted[part]) for part in plan.parts}

    def _bind_port(self, part: str, port: int) -> int:
        if part != "gateway":  # the other parts bind their ports themselves
            return ports.find_free(self._plan.host, port, part)
        bound = ports.listen(self._plan.host, port, part)
        self._sockets.append(bound)
        return int(bound.getsockname()[1])

    async def _start_clickhouse(self, port: int) -> None:
        secret = credentials.ensure(self._plan.data_dir, os.environ)
        variable = credentials.PASSWORD_VARIABLE
        command = chdb_http.command_line(
            self._plan.data_dir / "clickhouse",
            host=self._plan.host,
            port=port,
            user=secret.user,
            password_env=variable,
            allowed=self._plan.allowed_flags,
            login_hint="`t0dspy up --show-password` prints the URL with the user and the password.",
            early_tables=EARLY_TABLES,
            restore_rows=self._plan.restore_rows,
        )
        self._secrets["clickhouse"] = {variable: secret.password}
        child = await self._spawn("clickhouse", command)
        await self._wait_ready(child, _wait_for_answer(self._plan.url(port) + "/ping"))
        self.urls["clickhouse"] = self._plan.url(port)
        self._clickhouse_url = secret.in_url(self._plan.url(port))

    async def _start_gateway(self, port: int) -> None:
        database = self._plan.clickhouse_url or f"{self._clickhouse_url}/tensorzero"
        if "clickhouse" not in self._plan.parts:
            await _check_clickhouse(database)
        self._secrets["gateway"] = {"TENSORZERO_CLICKHOUSE_URL": database}
        inner, path = self._paths.enter_context(ports.private_socket(self._plan.data_dir))
        fds = self._sockets[0].fileno(), inner.fileno()
        child = await self._spawn("gateway", self._gateway_command(*fds), fds=fds, reporting=True)
        inner.close()
        self._close_sockets()  # open copies would accept connections after the gateway has stopped
        migrations = asyncio.create_task(self._count_migrations(database))
        try:
            await self._wait_ready(child, self._wait_for_gateway(child))
        finally:
            migrations.cancel()
        await _wait_for_answer(self._plan.url(port) + "/health")
        self.urls["gateway"] = self._plan.url(port)
        self._env["TENSORZERO_GATEWAY_URL"] = self.urls["gateway"]
        self._env[programs.GATEWAY_SOCKET] = str(path)

    def _gateway_command(self, listen_fd: int, inner_fd: int) -> list[str]:
        host = self._plan.reachable_host
        ours = {"programs": f"{host}:{self._programs_port}"} if self._programs_port else {}
        addresses = {**ours, **self._plan.addresses}
        return [
            *(sys.executable, "-P", "-m", "t0dspy.stack.gateway"),  # -P: without modules of the working directory
            *("--configs", str(self._plan.configs)),
            *("--scratch", str(self._plan.data_dir / "configs")),
            *("--listen-fd", str(listen_fd), "--inner-fd", str(inner_fd)),
            *("--parent-pid", str(os.getpid())),
            *(f"--address={name}={address}" for name, address in addresses.items()),
            *self._plan.allowed_flags,
        ]

    async def _wait_for_gateway(self, child: Child) -> None:
        while (report := await child.reports.get()).event == "note":
            self._show(report.text)
        if report.event == "failed":
            raise StackError(refusal_message(self._plan.configs, report.text))

    async def _start_programs(self, port: int) -> None:
        plan = self._plan
        command = programs.command_line(plan.configs, host=plan.host, port=port, allowed=plan.allowed_flags)
        child = await self._spawn("programs", command)
        await self._wait_ready(child, _wait_for_port(self._plan.reachable_host, port))
        self.urls["programs"] = self._plan.url(port)

    async def _spawn(
        self, name: str, command: list[str], fds: tuple[int, ...] = (), *, reporting: bool = False
    ) -> Child:
        env = self._environment(name)
        child = await Child.start(name, command, self._show, env=env, fds=fds, reporting=reporting)
        self._children[name] = child
        return child

    def _environment(self, part: str) -> Mapping[str, str]:
        """Return the environment of a part. The program server gets all variables, because tools need keys."""
        environment: Mapping[str, str] = self._env
        if part == "clickhouse":
            environment = clickhouse_environment(self._env)
        elif part == "gateway":
            environment = gateway_environment(self._env, _texts(self._plan.configs))
        return {**environment, **self._secrets.get(part, {})}

    async def _wait_ready(self, child: Child, ready: Coroutine[Any, Any, None]) -> None:
        """Wait for `ready`.

        Raises:
            StackError: the process ended first.
        """
        task = asyncio.create_task(ready)
        await asyncio.wait({task, child.ended}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            await asyncio.wait({task}, timeout=0.5)  # its last report may not have been read yet
        if task.done():
            return task.result()
        task.cancel()
        raise StackError(f"The part {child.name} could not start: {await child.read_last_line()}")

    async def _count_migrations(self, database: str) -> None:
        tables = ClickHouse(database)
        while True:
            with suppress(GatewayError):
                self._preparing(int((await tables.column("SELECT count() FROM TensorZeroMigration"))[0]))
            await asyncio.sleep(0.3)

    async def _relay_reports(self) -> None:
        gateway = self._children.get("gateway")
        while gateway:
            report = await gateway.reports.get()
            if load := _load(report, self._plan):
                self._load = load
                self._write_run_file()  # `apply` reads the result of its reload from it
            if text := _news(report, self._plan):
                self._show(text)


def _load(report: Report, plan: Plan) -> Load | None:
    if report.event == "reloaded":
        return Load(report.began, report.text)
    if report.event == "unloaded":
        return Load(report.began, None, failure=f"the gateway could not load it: {report.text}")
    return Load(report.began, None, refusal_message(plan.configs, report.text)) if report.event == "kept" else None


def _news(report: Report, plan: Plan) -> str:
    if report.event == "reloaded":
        return f"The gateway serves the new config in {plan.configs} (config_hash {report.text})."
    if report.event == "kept":
        return f"The gateway keeps serving the old config. {refusal_message(plan.configs, report.text)}"
    if report.event == "unloaded":
        return f"The gateway keeps serving the old config, because it could not reload: {report.text}"
    if report.event == "note":
        return report.text
    if report.event == "draining" and report.text != "0":
        return f"Finishing {_requests(report)} in flight, for at most {plan.drain:g} s; Ctrl-C again stops at once."
    if report.event == "cut":
        return f"Cut {_requests(report)} that had not ended {plan.drain:g} s after the stop; they may not be stored."
    return ""


def _requests(report: Report) -> str:
    return "1 request" if report.text == "1" else f"{report.text} requests"


def _texts(configs: Path) -> Iterator[str]:
    for file in toml_files(configs):
        with suppress(OSError):  # the gateway reads the file too, and reports the error
            yield file.read_text(encoding="utf-8", errors="replace")


def _ending(child: Child) -> str:
    code = child.process.returncode
    return f"killed by {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"


async def _wait_for_answer(url: str) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=5) as http:
        while True:
            with suppress(httpx.HTTPError):
                if (await http.get(url)).status_code == 200:
                    return
            await asyncio.sleep(0.03)


async def _wait_for_port(host: str, port: int) -> None:
    while True:
        with suppress(OSError):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            return
        await asyncio.sleep(0.03)


async def _check_clickhouse(url: str) -> None:
    database = ClickHouse(url)
    if not await database.is_there():
        raise StackError(
            f"No ClickHouse answers at {database.name}. Start one with `t0dspy up --only clickhouse`, or name another "
            "with --clickhouse-port or TENSORZERO_CLICKHOUSE_URL."
        )
    await database.close()
