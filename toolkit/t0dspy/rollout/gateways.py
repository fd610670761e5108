"""The ways to make a gateway load what is written: the embedded stack's signal, or a command of the user's."""

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
    """How the gateway took it."""

    config_hash: str | None
    """What it serves now; None when it refused, or when that is not known."""
    refusal: str = ""
    """Why the gateway itself refused the config."""
    still_serving: bool = False
    """Whether it serves what it served before, although it refused."""
    unconfirmed: str = ""
    """Why it is not known whether the gateway takes the config, such as that it does not answer: not a refusal."""


REFUSED_EXIT = 78
"""The exit code by which a user's command reports that the gateway refused the config: EX_CONFIG of sysexits.h."""


class Action(Protocol):
    """A way to make the gateway load its config."""

    what: str
    """Whom it talks to, for people."""
    gateway_url: str

    def start(self) -> None:
        """Ask the gateway to load; raises RolloutError when it cannot be asked."""

    def verdict(self) -> Verdict | None:
        """How it went; None while it is not known. Asked again and again after `start`."""


class Reload:
    """SIGHUP to the embedded stack, which goes on serving the old config until the new one holds."""

    def __init__(self, data_dir: Path, running: Running) -> None:
        self._data_dir, self._pid, self._asked = data_dir, running.pid, 0.0
        self.what = f"the embedded stack (process {running.pid})"
        self.configs = Path(running.configs)
        self.gateway_url = running.urls["gateway"]

    def start(self) -> None:
        """Send the signal."""
        self._asked = time.monotonic()
        try:
            os.kill(self._pid, signal.SIGHUP)
        except OSError as error:
            raise RolloutError(f"{self.what} cannot be signalled ({error.strerror}).") from error

    def verdict(self) -> Verdict | None:
        """What the stack says about a load that began after the signal."""
        running = find_running(self._data_dir)
        if running is None:
            return Verdict(None, unconfirmed=f"{self.what} ended before it served the config.")
        if running.pid != self._pid:  # started since the signal, so it has read what is written
            config_hash = status(running.urls.get("gateway", self.gateway_url))
            return None if config_hash is None else Verdict(config_hash)
        load = running.load
        if load is None or load.began < self._asked:
            return None
        refused = load.config_hash is None
        return Verdict(load.config_hash, load.refusal, still_serving=refused, unconfirmed=load.failure)


class Command:
    """A command of the user's that restarts the gateway; it is done when `/status` has another hash than before.

    A command that fails or takes too long may not have reached the gateway, so it is not a refusal. The exit code
    `REFUSED_EXIT` is.
    """

    def __init__(self, arguments: Sequence[str], gateway_url: str, seconds: float) -> None:
        self._arguments, self._seconds, self._before = list(arguments), seconds, status(gateway_url)
        self.what = f"the command `{shlex.join(arguments)}`"
        self.gateway_url = gateway_url
        self._failure, self._refused = "", False

    def start(self) -> None:
        """Run the command to its end."""
        try:
            done = subprocess.run(  # noqa: S603  # the user's own command, from the settings; no shell
                self._arguments, capture_output=True, text=True, timeout=self._seconds, check=False
            )
        except subprocess.TimeoutExpired:
            self._failure = f"it was not done after {self._seconds:g} s."
        except OSError as error:
            raise RolloutError(f"{self.what} cannot be run ({error.strerror}).") from error
        else:
            if done.returncode != 0:
                said = (done.stderr or done.stdout).strip().splitlines()
                self._failure = f"exit code {done.returncode}" + (f": {said[-1]}" if said else ".")
                self._refused = done.returncode == REFUSED_EXIT

    def verdict(self) -> Verdict | None:
        """Return the new hash once `/status` has it; a command that failed confirms nothing."""
        now = status(self.gateway_url)
        if self._refused:
            return Verdict(None, self._failure, still_serving=now is not None and now == self._before)
        if self._failure:
            return Verdict(None, unconfirmed=f"{self.what} failed: {self._failure}")
        return Verdict(now) if now is not None and now != self._before else None


def status(gateway_url: str) -> str | None:
    """The hash that `/status` says; None when nobody answers."""
    gateway = HttpGateway(gateway_url)
    try:
        return gateway.config_hash(timeout=5.0)
    except GatewayError:
        return None
    finally:
        gateway.close()


def embedded(data_dir: Path) -> Reload | None:
    """The way to the stack that runs in `data_dir`; None when none does."""
    running = find_running(data_dir)
    return Reload(data_dir, running) if running and "gateway" in running.urls else None
