"""Run the front process: uvicorn with the routes, signal handlers, and a drain before it stops."""

import asyncio
import contextlib
import logging
import math
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn

from localkit.connection_guard import Guard
from localkit.host_names import is_loopback_address
from localkit.web_pages import NONE_ALLOWED, Allowed
from t0dspy.runtime.server.app import application
from t0dspy.runtime.server.logs import JsonHandler, log
from t0dspy.runtime.server.pool import Size
from t0dspy.runtime.server.pools import Pools


@dataclass(frozen=True)
class Plan:
    """The configuration of a program server."""

    configs: Path
    gateway_url: str
    key: str = field(repr=False)
    host: str = "127.0.0.1"
    port: int = 8100
    size: Size = field(default_factory=Size)
    allowed: Allowed = NONE_ALLOWED
    """The hosts and origins that requests may name."""
    drain: float = 30.0
    """Seconds that runs in flight may take after SIGTERM before they are cut."""


class _Server(uvicorn.Server):
    """A uvicorn server that leaves signals to `serve`."""

    @contextlib.contextmanager
    # Workaround (uvicorn 0.54): uvicorn raises the signals that it caught again after its shutdown, which ends the
    # process before its cleanup; remove when this can be turned off. See Kludex/uvicorn#1600.
    def capture_signals(self) -> Iterator[None]:
        yield


class _Reloader:
    """Runs one reload at a time; all requests that arrive during a reload cause one more reload."""

    def __init__(self, pools: Pools) -> None:
        self._pools, self._requested = pools, False
        self._task: asyncio.Task[None] | None = None

    def ask(self) -> None:
        """Request a reload. Signal handlers may call this."""
        self._requested = True
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while self._requested:
            self._requested = False
            await self._pools.reload()


async def serve(plan: Plan) -> bool:
    """Serve until SIGTERM or SIGINT, then finish the runs in flight. A second signal stops at once; SIGHUP reloads.

    Runs that have not ended `plan.drain` seconds after the first signal are cut, and their callers get an error.

    Returns:
        Whether the port could be bound.
    """
    logging.basicConfig(level=logging.WARNING, handlers=[JsonHandler()])
    pools = Pools(plan.configs, plan.gateway_url, plan.size)
    server = _Server(_config(plan, pools))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _request_stop, server, pools, plan.drain)
    reloader = _Reloader(pools)
    loop.add_signal_handler(signal.SIGHUP, reloader.ask)
    try:
        await pools.start()
        if not server.should_exit:
            log("info", "serving", host=plan.host, port=plan.port, workers=plan.size.workers)
            await server.serve()
    # Workaround (uvicorn 0.54): a port that is taken ends the process instead of raising an OSError; remove when it
    # raises.
    except SystemExit:
        return False
    finally:
        await pools.close()
        log("info", "stopped")
    return True


def _request_stop(server: uvicorn.Server, pools: Pools, drain: float) -> None:
    if server.should_exit:
        server.force_exit = True
    server.should_exit = True
    log("info", "stopping", in_flight=pools.in_flight, seconds=drain)


def _config(plan: Plan, pools: Pools) -> uvicorn.Config:
    return uvicorn.Config(
        application(pools, plan.key, plan.allowed, local_only=is_loopback_address(plan.host)),
        http=Guard().protocol(),
        host=plan.host,
        port=plan.port,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=2048,
        timeout_graceful_shutdown=max(1, math.ceil(plan.drain)),
        timeout_keep_alive=75,  # longer than the gateway's, so that the gateway closes idle connections first
    )
