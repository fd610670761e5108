"""Find the gateway's compose container by its labels, and restart it through the Docker SDK."""

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from t0dspy.errors import RolloutError
from t0dspy.rollout.gateways import Verdict, read_config_hash
from t0dspy.stack.gateway.refusals import is_about_config

PROJECT, SERVICE, DIRECTORY = (f"com.docker.compose.{name}" for name in ("project", "service", "project.working_dir"))
_SOCKET = "/var/run/docker.sock"
_SIGNALS = 128
"""An exit code above this number means that a signal ended the process."""
_GONE = ("exited", "dead", "restarting", "removing")


class Restart:
    """Restarts the gateway's container, which first finishes requests in flight within its `stop_grace_period`."""

    def __init__(self, container: Any, gateway_url: str) -> None:
        self._container, self._restarts = container, 0
        self.target = f"the container {container.name}"
        self.gateway_url = gateway_url

    def start(self) -> None:
        """Restart the container, and return when it was started again."""
        with _translate_errors():
            self._container.reload()
            self._container.restart(timeout=self._container.attrs["Config"].get("StopTimeout") or 10)
            self._container.reload()
            self._restarts = self._container.attrs["RestartCount"]

    def poll(self) -> Verdict | None:
        """Return "served" if the gateway answers, and "refused" if it ended because of the config."""
        with _translate_errors():
            self._container.reload()
            ended = self._container.status in _GONE or self._container.attrs["RestartCount"] > self._restarts
            if ended:
                return ended_verdict(self._container.attrs.get("State", {}), self._read_last_output(), self.target)
        now = read_config_hash(self.gateway_url)
        return None if now is None else Verdict(now)

    def _read_last_output(self) -> str:
        lines: list[str] = self._container.logs(tail=20).decode("utf-8", "replace").splitlines()
        texts = [line.strip() for line in lines if line.strip()]
        errors = [line for line in texts if "error" in line.lower() or line.startswith("t0dspy: ")]
        return (errors or texts or ["its log is empty."])[-1].removeprefix("t0dspy: ")


def ended_verdict(state: Mapping[str, Any], words: str, name: str) -> Verdict:
    """Return whether a gateway that ended refused its config. It did not if it was killed or its database failed.

    Args:
        state: the container's `State`, as Docker reports it.
        words: the last line of its log with an error.
        name: the container's name for messages.
    """
    code = int(state.get("ExitCode") or 0)
    if state.get("OOMKilled") or code >= _SIGNALS:
        reason = "it ran out of memory" if state.get("OOMKilled") else f"it was killed by signal {code - _SIGNALS}"
        return Verdict(None, unconfirmed=f"{name} ended: {reason}.")
    if not is_about_config(words):
        return Verdict(None, unconfirmed=f"{name} ended: {words}")
    return Verdict(None, words)


def find_container(directory: Path, service: str, project: str | None, gateway_url: str) -> Restart | None:
    """Return the restart of the gateway's container; None if there is no `docker` package, engine or container.

    Args:
        directory: the compose file's directory, which identifies the project.
        service: the gateway's name in the compose file.
        project: the compose project; by default that of `directory`, or the only one.
        gateway_url: the URL of the gateway.

    Raises:
        RolloutError: there are several containers.
    """
    containers = choose_containers(_find_containers(service), directory, project)
    if len(containers) > 1:
        listed = ", ".join(sorted(f"{container.name} of {container.labels.get(PROJECT)}" for container in containers))
        raise RolloutError(
            f"there are several containers of a service {service!r}: {listed}. Name one with `project` in "
            "[tool.t0dspy.apply]."
        )
    return Restart(containers[0], gateway_url) if containers else None


def choose_containers(containers: Sequence[Any], directory: Path, project: str | None) -> list[Any]:
    """Return the containers of `project`, else those of the compose file in `directory`, else all of them."""
    if project is not None:
        return [container for container in containers if container.labels.get(PROJECT) == project]
    path = str(directory.resolve())
    return [container for container in containers if container.labels.get(DIRECTORY) == path] or list(containers)


def _find_containers(service: str) -> list[Any]:
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
        containers = list(client.containers.list(all=True, filters={"label": f"{SERVICE}={service}"}))
    except (DockerException, RequestException):
        containers = []
    if not containers:
        client.close()
    return containers


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


@contextmanager
def _translate_errors() -> Iterator[None]:
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    try:
        yield
    except (DockerException, RequestException) as error:
        raise RolloutError(f"Docker: {error}") from error
