"""The seam to the program server, which joins the stack once `t0dspy.runtime.server` is there."""

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

GATEWAY_SOCKET = "T0DSPY_GATEWAY_SOCKET"
"""The variable with the path of the stack's own Unix socket to its gateway, which stays open while the stack drains."""

_MODULE = "t0dspy.runtime.server"


def available() -> bool:
    """Whether this t0dspy has a program server."""
    try:
        return find_spec(_MODULE) is not None
    except ModuleNotFoundError:
        return False


def command_line(configs: Path, *, host: str, port: int, allowed: Sequence[str] = ()) -> list[str]:
    """The arguments that start the server, as `subprocess.Popen` takes them.

    It finds the gateway in `TENSORZERO_GATEWAY_URL` and its key in `T0DSPY_PROGRAMS_KEY`, and it is ready when its
    port answers. `allowed` are the flags of `web_pages.Allowed`.
    """
    command = [sys.executable, "-m", _MODULE, "--configs", str(configs), "--host", host, "--port", str(port)]
    return [*command, "--parent-pid", str(os.getpid()), *allowed]
