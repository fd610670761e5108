"""Start a program server, from the command line or from the stack."""

import asyncio
import os
from pathlib import Path

from localkit.web_pages import NONE_ALLOWED, Allowed
from t0dspy.compiler.tensorzero_toml import PROGRAMS_KEY
from t0dspy.errors import SettingsError
from t0dspy.runtime.server.pool import Size
from t0dspy.runtime.server.serving import Plan, serve
from t0dspy.settings import load_settings
from t0dspy.stack.processes.locate import locate


def run_server(
    configs: Path | None = None,
    gateway_url: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8100,
    size: Size | None = None,
    allowed: Allowed = NONE_ALLOWED,
    drain: float = 30.0,
) -> None:
    """Serve the exported programs in the foreground until SIGTERM or SIGINT.

    Args:
        configs: the directory of TensorZero's config; by default from the settings.
        gateway_url: the gateway that answers the stages; by default from the settings.
        host: the address to listen on.
        port: the port to listen on.
        size: the limits of concurrency.
        allowed: the hosts and origins that requests may name.
        drain: seconds that runs in flight may take after SIGTERM.

    Raises:
        SettingsError: the key is not set, the directory does not exist, or the port is taken.
    """
    settings = locate(load_settings(configs=configs, gateway_url=gateway_url))
    key = os.environ.get(PROGRAMS_KEY)
    if not key:
        raise SettingsError(
            f"{PROGRAMS_KEY} is not set. Set it to the same secret for the gateway and the program server."
        )
    if not settings.configs_dir.is_dir():
        raise SettingsError(f"no directory {settings.configs_dir} (--configs, from {settings.configs.origin}).")
    url = settings.gateway_url.value
    size = size or Size(workers=min(4, os.cpu_count() or 2))
    plan = Plan(settings.configs_dir, url, key, host, port, size, allowed, drain)
    if not asyncio.run(serve(plan)):
        raise SettingsError(f"cannot listen on {host}:{port}: it is taken. Choose another --port.")
