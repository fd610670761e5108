"""What every container of the compose file must and must not have."""

import subprocess
from typing import Any

from images import docker
from project import KEY, PASSWORD, PROVIDER_KEY, Project

CONNECT = "import socket; socket.create_connection(('{host}', {port}), 3)"


def check_hardened(container: dict[str, Any]) -> None:
    """A read-only root, no capability, no new privileges, limits, and a user other than root."""
    name, host = container["Name"], container["HostConfig"]
    assert host["ReadonlyRootfs"], name
    assert host["CapDrop"] == ["ALL"], (name, host["CapDrop"])
    assert not host["CapAdd"], (name, host["CapAdd"])
    assert not host["Privileged"], name
    assert "no-new-privileges:true" in host["SecurityOpt"], (name, host["SecurityOpt"])
    assert 0 < (host["PidsLimit"] or 0) <= 4096, (name, host["PidsLimit"])
    assert 2**29 <= host["Memory"] <= 2**33, (name, host["Memory"])
    assert "/tmp" in host["Tmpfs"], (name, host["Tmpfs"])
    assert container["Config"]["User"] not in ("", "0", "root", "0:0"), (name, container["Config"]["User"])


def check_networks(project: Project) -> None:
    """The program server and the UI cannot reach ClickHouse; each may reach the gateway."""
    networks = {one: _networks(project, one) for one in ("clickhouse", "gateway", "programs")}
    assert networks == {"clickhouse": {"data"}, "gateway": {"data", "programs", "ui"}, "programs": {"programs"}}, (
        networks
    )
    assert run_inside(project, "programs", "python", "-c", CONNECT.format(host="gateway", port=3000)).returncode == 0
    refused = run_inside(project, "programs", "python", "-c", CONNECT.format(host="clickhouse", port=8123))
    assert refused.returncode != 0, "the program server reaches ClickHouse"
    for path in ("/written", "/app/written", "/configs/written", "/opt/t0dspy/written"):
        assert run_inside(project, "programs", "touch", path).returncode != 0, path
    assert run_inside(project, "programs", "touch", "/tmp/written").returncode == 0


def check_secrets(project: Project) -> None:
    """Each container has the secrets that it needs, and no other."""
    for service, needed, foreign in (
        ("gateway", (PROVIDER_KEY, KEY, PASSWORD), ()),
        ("programs", (PROVIDER_KEY, KEY), (PASSWORD,)),
        ("clickhouse", (PASSWORD,), (PROVIDER_KEY, KEY)),
    ):
        environment = "\n".join(project.container(service)["Config"]["Env"])
        assert all(secret in environment for secret in needed), (service, "lacks a secret")
        assert not any(secret in environment for secret in foreign), (service, "has a secret that it does not need")


def _networks(project: Project, service: str) -> set[str]:
    attached = project.container(service)["NetworkSettings"]["Networks"]
    return {name.removeprefix(f"{project.name}_") for name in attached}


def run_inside(project: Project, service: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the container of a service."""
    return docker("exec", str(project.container(service)["Id"]), *command)
