"""How the stack starts the program server, reads its status and has it reload."""

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx

GATEWAY_SOCKET = "T0DSPY_GATEWAY_SOCKET"
"""The variable with the path of the stack's own Unix socket to its gateway, which stays open while the stack drains."""

_MODULE = "t0dspy.runtime.server"
_PATIENCE = 150.0
"""Seconds until a reload has ended: somewhat longer than the server gives its new workers."""


def command_line(configs: Path, *, host: str, port: int, allowed: Sequence[str] = ()) -> list[str]:
    """The arguments that start the server, as `subprocess.Popen` takes them.

    It finds the gateway in `TENSORZERO_GATEWAY_URL` and its key in `T0DSPY_PROGRAMS_KEY`, and it is ready when its
    port answers. `allowed` are the flags of `web_pages.Allowed`.
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
    """Have the server import its programs again with `signal`; returns its status when that has ended."""
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
