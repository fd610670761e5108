"""Make a gateway load the written config: by a signal to the embedded stack, or by the user's command."""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from t0dspy.errors import GatewayError, RolloutError
from t0dspy.gateway import HttpGateway
from t0dspy.stack.processes.data_dir import Running, find_running


@dataclass(frozen=True)
class Verdict:
    """The result of a reload."""

    config_hash: str | None
    """The hash of the served config; None if the gateway refused the config, or if it is not known."""
    refusal: str = ""
    """Why the gateway refused the config."""
    still_serving: bool = False
    """Whether the gateway still serves the previous config after it refused the new one."""
    unconfirmed: str = ""
    """Why it is not known whether the gateway accepts the config, such as no answer. This is not a refusal."""


REFUSED_EXIT = 78
"""The exit code with which a user's command reports a refused config: EX_CONFIG of sysexits.h."""


class Action(Protocol):
    """A way to make the gateway load its config."""

    target: str
    """The gateway or the command, for messages."""
    gateway_url: str

    def start(self) -> None:
        """Make the gateway load its config.

        Raises:
            RolloutError: the gateway cannot be signaled or the command cannot be run.
        """

    def poll(self) -> Verdict | None:
        """Return the result, or None if it is not known yet. It is called repeatedly after `start`."""


class Reload:
    """Sends SIGHUP to the embedded stack, which serves the old config until the new one has loaded."""

    def __init__(self, data_dir: Path, running: Running) -> None:
        self._data_dir, self._pid, self._signaled = data_dir, running.pid, 0.0
        self.target = f"the embedded stack (process {running.pid})"
        self.configs = Path(running.configs)
        self.gateway_url = running.urls["gateway"]

    def start(self) -> None:
        """Send the signal."""
        self._signaled = time.monotonic()
        try:
            os.kill(self._pid, signal.SIGHUP)
        except OSError as error:
            raise RolloutError(f"{self.target} cannot be signaled ({error.strerror}).") from error

    def poll(self) -> Verdict | None:
        """Return the result of a load that began after the signal, as the stack recorded it."""
        running = find_running(self._data_dir)
        if running is None:
            return Verdict(None, unconfirmed=f"{self.target} ended before it served the config.")
        if running.pid != self._pid:  # it started after the signal, so it has read the written config
            config_hash = read_config_hash(running.urls.get("gateway", self.gateway_url))
            return None if config_hash is None else Verdict(config_hash)
        load = running.load
        if load is None or load.began < self._signaled:
            return None
        refused = load.config_hash is None
        return Verdict(load.config_hash, load.refusal, still_serving=refused, unconfirmed=load.failure)


class Command:
    """Runs the user's command that restarts the gateway; the config is served when `/status` shows a new hash.

    A command that fails or times out may not have reached the gateway, so only the exit code `REFUSED_EXIT` counts as
    a refusal.
    """

    def __init__(self, arguments: Sequence[str], gateway_url: str, seconds: float) -> None:
        self._arguments, self._seconds, self._before = list(arguments), seconds, read_config_hash(gateway_url)
        self.target = f"the command `{shlex.join(arguments)}`"
        self.gateway_url = gateway_url
        self._failure, self._refused = "", False

    def start(self) -> None:
        """Run the command and wait until it ends."""
        try:
            done = subprocess.run(  # noqa: S603  # the user's own command, from the settings; no shell
                self._arguments, capture_output=True, text=True, timeout=self._seconds, check=False
            )
        except subprocess.TimeoutExpired:
            self._failure = f"it was not done after {self._seconds:g} s."
        except OSError as error:
            raise RolloutError(f"{self.target} cannot be run ({error.strerror}).") from error
        else:
            if done.returncode != 0:
                lines = (done.stderr or done.stdout).strip().splitlines()
                self._failure = f"exit code {done.returncode}" + (f": {lines[-1]}" if lines else ".")
                self._refused = done.returncode == REFUSED_EXIT

    def poll(self) -> Verdict | None:
        """Return the new hash once `/status` has it; a command that failed confirms nothing."""
        now = read_config_hash(self.gateway_url)
        if self._refused:
            return Verdict(None, self._failure, still_serving=now is not None and now == self._before)
        if self._failure:
            return Verdict(None, unconfirmed=f"{self.target} failed: {self._failure}")
        return Verdict(now) if now is not None and now != self._before else None


def read_config_hash(gateway_url: str) -> str | None:
    """Return the config hash from the gateway's `/status`; None if the gateway does not answer."""
    gateway = HttpGateway(gateway_url)
    try:
        return gateway.config_hash(timeout=5.0)
    except GatewayError:
        return None
    finally:
        gateway.close()


def find_embedded(data_dir: Path) -> Reload | None:
    """Return the reload of the stack that runs on `data_dir`; None if no stack runs there."""
    running = find_running(data_dir)
    return Reload(data_dir, running) if running and "gateway" in running.urls else None
