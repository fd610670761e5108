"""The gateway in a container of compose's: found by its labels, restarted through the Docker SDK."""

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from t0dspy.errors import RolloutError
from t0dspy.rollout.gateways import Verdict, status
from t0dspy.stack.gateway.refusals import is_about_config

PROJECT, SERVICE, DIRECTORY = (f"com.docker.compose.{name}" for name in ("project", "service", "project.working_dir"))
_SOCKET = "/var/run/docker.sock"
_SIGNALS = 128
"""Exit codes above it are signals."""
_GONE = ("exited", "dead", "restarting", "removing")


class Restart:
    """A restart of the gateway's container. What is in flight is finished first, within its `stop_grace_period`."""

    def __init__(self, container: Any, gateway_url: str) -> None:
        self._container, self._restarts = container, 0
        self.what = f"the container {container.name}"
        self.gateway_url = gateway_url

    def start(self) -> None:
        """Restart it; returns when it was started again."""
        with _translated():
            self._container.reload()
            self._container.restart(timeout=self._container.attrs["Config"].get("StopTimeout") or 10)
            self._container.reload()
            self._restarts = self._container.attrs["RestartCount"]

    def verdict(self) -> Verdict | None:
        """Served once the gateway answers; refused when its process ended because of the config."""
        with _translated():
            self._container.reload()
            ended = self._container.status in _GONE or self._container.attrs["RestartCount"] > self._restarts
            if ended:
                return ended_verdict(self._container.attrs.get("State", {}), self._last_words(), self.what)
        now = status(self.gateway_url)
        return None if now is None else Verdict(now)

    def _last_words(self) -> str:
        lines: list[str] = self._container.logs(tail=20).decode("utf-8", "replace").splitlines()
        said = [line.strip() for line in lines if line.strip()]
        wrong = [line for line in said if "error" in line.lower() or line.startswith("t0dspy: ")]
        return (wrong or said or ["it ended without a word."])[-1].removeprefix("t0dspy: ")


def ended_verdict(state: Mapping[str, Any], words: str, name: str) -> Verdict:
    """Return whether a gateway that ended refused its config: not if it was killed, or if its database is the reason.

    Args:
        state: the container's `State`, as Docker reports it.
        words: the last line of its log that tells of an error.
        name: the container, for people.
    """
    code = int(state.get("ExitCode") or 0)
    if state.get("OOMKilled") or code >= _SIGNALS:
        reason = "it ran out of memory" if state.get("OOMKilled") else f"it was killed by signal {code - _SIGNALS}"
        return Verdict(None, unconfirmed=f"{name} ended: {reason}.")
    if not is_about_config(words):
        return Verdict(None, unconfirmed=f"{name} ended: {words}")
    return Verdict(None, words)


def gateway_container(directory: Path, service: str, project: str | None, gateway_url: str) -> Restart | None:
    """The way to the gateway's container; None without the `docker` package, an engine, or such a container.

    Args:
        directory: the compose file's directory, which tells projects apart.
        service: the gateway's name in the compose file.
        project: compose's project; by default the one of `directory`, or the only one there is.
        gateway_url: where it answers.

    Raises:
        RolloutError: there are several.
    """
    found = chosen(_containers(service), directory, project)
    if len(found) > 1:
        listed = ", ".join(sorted(f"{one.name} of {one.labels.get(PROJECT)}" for one in found))
        raise RolloutError(
            f"there are several containers of a service {service!r}: {listed}. Say which with `project` in "
            "[tool.t0dspy.apply]."
        )
    return Restart(found[0], gateway_url) if found else None


def chosen(found: Sequence[Any], directory: Path, project: str | None) -> list[Any]:
    """Of several containers those that are meant: of `project`, else of the compose file in `directory`, else all."""
    if project is not None:
        return [one for one in found if one.labels.get(PROJECT) == project]
    return [one for one in found if one.labels.get(DIRECTORY) == str(directory.resolve())] or list(found)


def _containers(service: str) -> list[Any]:
    try:
        import docker
        from docker.errors import DockerException
        from requests.exceptions import RequestException
    except ImportError:
        return []
    # Workaround (docker 7.2): `from_env` leaves a socket open if no engine answers; remove when it closes it.
    if "DOCKER_HOST" not in os.environ and not _listens(_SOCKET):
        return []
    try:
        client = docker.from_env()
    except DockerException:  # no engine
        return []
    try:
        found = list(client.containers.list(all=True, filters={"label": f"{SERVICE}={service}"}))
    except (DockerException, RequestException):
        found = []
    if not found:
        client.close()
    return found


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


@contextmanager
def _translated() -> Iterator[None]:
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    try:
        yield
    except (DockerException, RequestException) as error:
        raise RolloutError(f"Docker: {error}") from error
