"""Run the gateway's process, which the supervisor starts as `python -m t0dspy.stack.gateway`."""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# Workaround (tensorzero 2026.6): the embedded gateway logs to stdout from its import on, and with "off" alone it logs
# an error about a missing span; remove when it logs to stderr. See tensorzero/tensorzero#1836.
os.environ.setdefault("RUST_LOG", "off,tensorzero.overhead=debug")

import uvicorn
from starlette.types import ASGIApp

from localkit import private
from localkit.connection_guard import Guard
from localkit.die_with_parent import die_with
from localkit.host_names import is_loopback_address
from localkit.web_pages import NONE_ALLOWED, Allowed
from t0dspy.artifact.user_config import toml_files
from t0dspy.errors import GatewayError, T0dspyError
from t0dspy.stack.gateway.addresses import parse_address, resolve
from t0dspy.stack.gateway.context import Gateway
from t0dspy.stack.gateway.embedded import Native, NotLoadedError
from t0dspy.stack.gateway.generations import Generation, Generations
from t0dspy.stack.gateway.loaded_config import config_hash_since, read_clock, warn_of_future_rows
from t0dspy.stack.gateway.refusals import is_about_config
from t0dspy.stack.gateway.reports import Reporter
from t0dspy.stack.gateway.routes import application
from t0dspy.stack.gateway.row_watcher import ClickHouse

_CHECK_EVERY = 2.0
"""Seconds between two checks whether rows can be stored."""
_CLOSING = 4.0
"""Seconds to close after the requests in flight were cut."""
_CLOSE_EVERY = 0.5
"""Seconds between two checks for connections that were accepted while the server shuts down."""


@dataclass(frozen=True)
class Options:
    """The options of the gateway process."""

    configs: Path
    clickhouse_url: str = field(repr=False)  # may hold a password
    scratch: Path
    addresses: dict[str, str]
    listen_fd: int
    inner_fd: int | None
    report_fd: int | None
    allowed: Allowed = NONE_ALLOWED
    """The hosts and origins that requests may name."""


async def load(options: Options, clickhouse: ClickHouse) -> Generation:
    """Load the configs from disk.

    Raises:
        GatewayError: the load failed; the message is TensorZero's.
    """
    directory = resolve(options.configs, options.addresses, options.scratch)
    if not any(directory.rglob("*.toml")):
        raise GatewayError(f"{options.configs} has no TOML file. Give the directory of your config with --configs.")
    before = await read_clock(clickhouse)
    try:
        native = await Native.load(f"{_escaped(directory)}/**/*.toml", options.clickhouse_url)
    except GatewayError as error:
        raise type(error)(str(error).replace(str(directory), str(options.configs))) from error
    try:
        return Generation(native, await config_hash_since(clickhouse, before), base_path(directory))
    except GatewayError:
        await native.close()
        raise


def base_path(directory: Path) -> str:
    """Return `gateway.base_path` of the config in `directory`, as a prefix of paths."""
    texts = (file.read_text(encoding="utf-8") for file in toml_files(directory))
    tables = [tomllib.loads(text).get("gateway", {}) for text in texts]
    path = next((table["base_path"] for table in tables if "base_path" in table), "").strip("/")
    return f"/{path}" if path else ""


def _escaped(directory: Path) -> str:
    return "".join(f"[{char}]" if char in "*?[]{}" else char for char in str(directory))


class _Server(uvicorn.Server):
    """A uvicorn server that leaves signals to `serve`."""

    @contextlib.contextmanager
    # Workaround (uvicorn 0.54): uvicorn raises the signals that it caught again after its shutdown, which ends the
    # process before its cleanup; remove when this can be turned off. See Kludex/uvicorn#1600.
    def capture_signals(self) -> Iterator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Shut down, and also close connections that are accepted during the shutdown."""
        # Workaround (uvicorn 0.54): a shutdown closes idle connections once, so a connection that is accepted just
        # after that stays open; remove when it closes them until the end.
        closing = asyncio.create_task(self._close_late_connections())
        try:
            await super().shutdown(sockets)
        finally:
            closing.cancel()

    async def _close_late_connections(self) -> None:
        while True:
            await asyncio.sleep(_CLOSE_EVERY)
            for connection in list(self.server_state.connections):
                if getattr(connection, "cycle", None) is not None:
                    connection.shutdown()


async def serve(options: Options) -> None:
    """Load the configs and serve until SIGTERM, then finish the requests in flight.

    A second SIGTERM cuts those requests. SIGHUP reloads the configs.

    Raises:
        GatewayError: the first load failed.
    """
    reporter = Reporter(options.report_fd)
    clickhouse = ClickHouse(options.clickhouse_url)
    gateway = Gateway(Generations(await load(options, clickhouse)), clickhouse)
    reloader = Reloader(options, gateway, reporter)
    outer, inner = (_Listener(gateway, fd, options.allowed) for fd in (options.listen_fd, options.inner_fd))
    cut = _on_signals(outer, gateway, reloader, reporter)
    await outer.wait_started()
    await inner.wait_started()
    if warning := await warn_of_future_rows(clickhouse):
        reporter.write("note", warning)
    reporter.write("ready", gateway.generations.current.config_hash)
    health = asyncio.create_task(_report_trouble(clickhouse, reporter))
    drain = asyncio.create_task(_drain(outer, inner, gateway, reloader, health))
    cutting = asyncio.create_task(cut.wait())
    await asyncio.wait({drain, cutting}, return_when=asyncio.FIRST_COMPLETED)
    if not drain.done():
        reporter.write("cut", str(gateway.background.cut()))
        await asyncio.wait({drain}, timeout=_CLOSING)
    if not drain.done():
        # Workaround (tensorzero 2026.6): the embedded gateway cannot be closed while a provider does not answer;
        # acknowledged rows are stored by now; remove when closing it cancels its requests.
        os._exit(0)
    cutting.cancel()
    drain.result()


async def _report_trouble(clickhouse: ClickHouse, reporter: Reporter) -> None:
    """Report whenever rows can no longer be stored, and when they can be stored again."""
    before = ""
    while True:
        trouble = await clickhouse.trouble()
        if trouble and not before:
            reporter.write("note", f"Rows cannot be stored now, and /health says so: {trouble}")
        elif before and not trouble:
            reporter.write("note", "Rows can be stored again.")
        before = trouble
        await asyncio.sleep(_CHECK_EVERY)


async def _drain(
    outer: "_Listener", inner: "_Listener", gateway: Gateway, reloader: "Reloader", health: "asyncio.Task[None]"
) -> None:
    await outer.wait_ended()
    health.cancel()
    # Programs in flight still call the gateway for their stages, so the inner listener closes last.
    await gateway.background.finish()
    inner.stop()
    await inner.wait_ended()
    await reloader.finish()
    await gateway.close()


class _Listener:
    """A listening socket and its server; nothing if `fd` is None."""

    def __init__(self, gateway: Gateway, fd: int | None, allowed: Allowed) -> None:
        sockets = [] if fd is None else [socket.socket(fileno=fd)]
        addresses = [bound.getsockname()[0] for bound in sockets if bound.family != socket.AF_UNIX]
        local_only = all(map(is_loopback_address, addresses))
        self._server = _Server(_uvicorn(application(gateway, allowed, local_only=local_only)))
        self._task = asyncio.create_task(self._server.serve(sockets=sockets)) if sockets else None

    async def wait_started(self) -> None:
        while self._task and not self._server.started and not self._task.done():
            await asyncio.sleep(0.01)

    def stop(self) -> None:
        self._server.should_exit = True

    async def wait_ended(self) -> None:
        if self._task:
            await self._task


def _uvicorn(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Guard().protocol(),
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=2048,
        timeout_keep_alive=75,  # longer than the clients', so that clients close idle connections first
    )


def _on_signals(outer: _Listener, gateway: Gateway, reloader: "Reloader", reporter: Reporter) -> asyncio.Event:
    """Install the signal handlers, and return the event that is set when the requests in flight must be cut."""
    stopping, cut = asyncio.Event(), asyncio.Event()

    def stop() -> None:
        if stopping.is_set():
            cut.set()
            return
        stopping.set()
        reporter.write("draining", str(gateway.generations.current.in_flight))
        outer.stop()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop)
    loop.add_signal_handler(signal.SIGINT, stop)
    loop.add_signal_handler(signal.SIGHUP, reloader.ask)
    return cut


class _Variables:
    """Reads environment variables that the supervisor writes to standard input before it requests a reload.

    A gateway process gets only the variables that its config names, and a changed config may name others.
    """

    def __init__(self) -> None:
        os.set_blocking(sys.stdin.fileno(), False)
        self._rest = b""

    def read_new(self) -> dict[str, str]:
        """Read the variables that were written since the last call, and return those that are not set yet."""
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(sys.stdin.fileno(), 1 << 16):
                self._rest += piece
        *lines, self._rest = self._rest.split(b"\n")
        written = {name: value for line in lines for name, value in json.loads(line).items()}
        return {name: value for name, value in written.items() if name not in os.environ}


class Reloader:
    """Runs one reload at a time; all requests that arrive during a reload cause one more reload."""

    def __init__(self, options: Options, gateway: Gateway, reporter: Reporter) -> None:
        self._options, self._gateway, self._reporter = options, gateway, reporter
        self._requested = False
        self._variables = _Variables()
        self._task: asyncio.Task[None] | None = None

    def ask(self) -> None:
        """Request a reload. Signal handlers may call this."""
        self._requested = True
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def finish(self) -> None:
        """Wait until no reload is running."""
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while self._requested:
            self._requested, began = False, time.monotonic()
            os.environ.update(self._variables.read_new())
            try:
                new = await load(self._options, self._gateway.clickhouse)
            except (T0dspyError, OSError) as error:
                refused = not isinstance(error, NotLoadedError | OSError) and is_about_config(str(error))
                self._reporter.write("kept" if refused else "unloaded", str(error), began)
            else:
                self._gateway.generations.swap(new)
                self._reporter.write("reloaded", new.config_hash, began)


def _options(argv: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(prog="python -m t0dspy.stack.gateway", description=__doc__)
    parser.add_argument("--configs", type=Path, required=True, help="directory of the TensorZero config")
    parser.add_argument("--scratch", type=Path, required=True, help="directory for the config with local addresses")
    parser.add_argument("--listen-fd", type=int, required=True, help="a bound socket, inherited")
    parser.add_argument(
        "--inner-fd", type=int, help="a second socket, for the program server; it stays open during the drain"
    )
    parser.add_argument("--parent-pid", type=int, help="exit when this parent process is gone")
    parser.add_argument("--report-fd", type=int, help="the file descriptor for reports")
    Allowed.add_flags(parser)
    parser.add_argument("--address", action="append", default=[], metavar="NAME=HOST:PORT")
    args = parser.parse_args(argv)
    pairs = (text.split("=", 1) for text in args.address)
    addresses = {name: parse_address(name, value) for name, value in pairs}
    if args.parent_pid is not None:
        die_with(args.parent_pid)
    url = os.environ["TENSORZERO_CLICKHOUSE_URL"]  # not an argument, because it may hold a password
    allowed = Allowed.parse(args.allow_host, args.allow_origin)
    return Options(args.configs, url, args.scratch, addresses, args.listen_fd, args.inner_fd, args.report_fd, allowed)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the gateway's process. Return 0 after a clean stop, and 1 if it could not start."""
    options = _options(argv)
    private.close_to_others()  # `[object_storage]` of a config may be a directory
    try:
        asyncio.run(serve(options))
    except (T0dspyError, OSError) as error:
        Reporter(options.report_fd).write("failed", str(error))
        return 1
    return 0
