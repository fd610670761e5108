"""Start the program server, read its status, and reload it."""

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx

GATEWAY_SOCKET = "T0DSPY_GATEWAY_SOCKET"
"""The variable with the path of the gateway's private Unix socket, which stays open while the stack drains."""

_MODULE = "t0dspy.runtime.server"
_PATIENCE = 150.0
"""Seconds to wait for the end of a reload; more than the server waits for its new workers."""


def command_line(configs: Path, *, host: str, port: int, allowed: Sequence[str] = ()) -> list[str]:
    """Return the command line that starts the program server.

    The server reads the gateway's URL from `TENSORZERO_GATEWAY_URL` and its bearer key from `T0DSPY_PROGRAMS_KEY`. It
    is ready when its port accepts connections.

    Args:
        configs: the directory of TensorZero's config.
        host: the address to listen on.
        port: the port to listen on.
        allowed: the flags from `web_pages.Allowed.flags`.
    """
    command = [sys.executable, "-P", "-m", _MODULE, "--configs", str(configs), "--host", host, "--port", str(port)]
    return [*command, "--parent-pid", str(os.getpid()), *allowed]


async def read_status(url: str) -> dict[str, Any]:
    """Return the server's answer to `/ready`; empty if it does not answer."""
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=5) as http:
            answer = (await http.get(f"{url}/ready")).json()
    except (httpx.HTTPError, ValueError):
        return {}
    return answer if isinstance(answer, dict) else {}


async def reload(url: str, signal: Callable[[], None]) -> dict[str, Any]:
    """Call `signal`, which makes the server import its programs again, and return its status after the reload."""
    before = (await read_status(url)).get("reloads")
    signal()
    status: dict[str, Any] = {}
    try:
        async with asyncio.timeout(_PATIENCE):
            while status.get("reloads") in (None, before):
                await asyncio.sleep(0.1)
                status = await read_status(url)
    except TimeoutError:
        status = {**status, "reload_refused": f"the program server did not report a reload within {_PATIENCE:g} s."}
    return status
