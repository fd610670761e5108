"""The server process, from its start to its shutdown."""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn

from chdb_http.access import Access, User
from chdb_http.app import application
from chdb_http.engine import Engine
from chdb_http.engine_error import EngineError
from chdb_http.errors import ChdbHttpError
from chdb_http.row_events import RowEvents
from localkit.connection_guard import Guard, connection_limit
from localkit.die_with_parent import end_within, when_gone
from localkit.web_pages import NONE_ALLOWED, Allowed

log = logging.getLogger("chdb_http")

_QUERIES_AT_ONCE = 100  # ClickHouse's own default
_DRAIN_SECONDS = 20
# Seconds for the engine to close; acknowledged rows are in the write-ahead log. The shorter one is for a second SIGTERM
# and for an end of the parent, because the next start waits for this process.
_END_SECONDS, _SOON_SECONDS = 15.0, 4.0
_KEEP_ALIVE_SECONDS = (
    3600  # longer than any client keeps one, because a client must never write into a closing connection
)
_LONGEST_URL = 1 << 20


@dataclass(frozen=True)
class Options:
    """The options of the server."""

    host: str = "127.0.0.1"
    users: tuple[User, ...] = ()
    parent_pid: int | None = None
    allowed: Allowed = NONE_ALLOWED
    """The hosts and origins that requests may name."""
    login_hint: str = ""
    """A sentence at the end of each refusal of a user or a password."""
    early_tables: Mapping[str, str] = field(default_factory=dict)
    restore_rows: bool = False


def serve(options: Options, listener: socket.socket, home: Path) -> None:
    """Serve the database in `home` on `listener` until SIGTERM, SIGINT, or the end of the parent.

    Raises ChdbHttpError if it cannot start.
    """
    try:
        engine = Engine(home, options.early_tables, restore_rows=options.restore_rows)
    except EngineError as failure:
        raise ChdbHttpError(f"ClickHouse cannot open {home}: {failure}") from failure
    workers = ThreadPoolExecutor(_QUERIES_AT_ONCE, thread_name_prefix="query")
    logging.getLogger("uvicorn.error").addFilter(_is_worth_a_line)
    try:
        _warn_if_open(options, listener)
        app = application(
            engine,
            Access(options.users, options.login_hint),
            workers,
            options.allowed,
            local_only=_is_loopback(listener),
        )
        _Server(_config(app), listener, options.parent_pid, engine.row_events).run([listener])
    finally:
        end_within(_END_SECONDS)
        engine.write_log.close()  # before the running queries are killed
        _finish(engine, workers)
        engine.close()


def _finish(engine: Engine, workers: ThreadPoolExecutor) -> None:
    """Cancel the queries that are still running after the drain, and those that are about to begin."""
    finished = threading.Event()

    def kill_all() -> None:
        while not finished.wait(0.05):
            engine.kill_all()

    killer = threading.Thread(target=kill_all)
    killer.start()
    workers.shutdown(wait=True, cancel_futures=True)
    finished.set()
    killer.join()


class _Server(uvicorn.Server):
    """A server that reports when it answers, ends with its parent, and does not set the exit code."""

    def __init__(
        self, config: uvicorn.Config, listener: socket.socket, parent_pid: int | None, events: RowEvents
    ) -> None:
        super().__init__(config)
        self._url, self._parent_pid, self._events = _url(listener), parent_pid, events

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        sys.stdout.write(f"ready {self._url}\n")
        sys.stdout.flush()
        if self._parent_pid is not None:
            loop = asyncio.get_running_loop()
            when_gone(self._parent_pid, lambda: self._orphaned(loop))

    @contextlib.contextmanager
    # Workaround (uvicorn 0.54): uvicorn raises the signals that it caught again after its shutdown, which ends the
    # process before its cleanup; remove when this can be turned off. See Kludex/uvicorn#1600.
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGTERM and SIGINT, and close the engine before the process ends."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        yield
        for number in (signal.SIGTERM, signal.SIGINT):  # a later signal must not interrupt the engine's shutdown
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)

    def _stop(self) -> None:
        self.force_exit = self.should_exit or self.force_exit
        if self.force_exit:
            end_within(_SOON_SECONDS)
        self.should_exit = True
        self._events.close()

    def _orphaned(self, loop: asyncio.AbstractEventLoop) -> None:
        """Stop without a drain, from another thread than the event loop's, because the clients are gone too."""
        end_within(_SOON_SECONDS)  # also if the event loop or the engine hangs; the next start waits for this
        log.warning("The process %s that started this one is gone: stopping.", self._parent_pid)
        self.force_exit = True
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(self._stop)


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    if record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError):  # a stop cancelled a statement
        return False
    return "without completing response" not in record.getMessage()  # a late error cuts the connection on purpose


def _config(app: object) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]  # Starlette is an ASGI application; uvicorn's types do not take it for one
        http=Guard(limit=connection_limit(share=4)).protocol(),
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=1024,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
        h11_max_incomplete_event_size=_LONGEST_URL,
    )


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _is_loopback(listener: socket.socket) -> bool:
    host = str(listener.getsockname()[0])
    return host == "::1" or host.startswith("127.")


def _warn_if_open(options: Options, listener: socket.socket) -> None:
    if not options.users and not _is_loopback(listener):
        log.warning("ClickHouse listens on %s and does not require a password.", options.host)
