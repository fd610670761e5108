"""The compose files, read without an engine: what `make test-compose` sees in running containers, in a second."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "compose.yaml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, Any] = COMPOSE["services"]
NAMES = sorted(SERVICES)


def given(service: dict[str, Any]) -> str:
    """Everything that a container gets as environment, by name."""
    return " ".join(map(str, service.get("environment", {}).values())) + " ".join(service.get("environment", {}))


@pytest.mark.parametrize("name", NAMES)
def test_every_service_is_hardened(name: str) -> None:
    """No capability, no new privileges, a read-only root, limits that .env may change, and networks by name."""
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert any(one.startswith("/tmp:") for one in service["tmpfs"])
    assert 0 < service["pids_limit"] <= 4096
    assert re.fullmatch(r"\$\{[A-Z]+_MEMORY:-\dg\}", service["mem_limit"])
    assert re.fullmatch(r"\$\{[A-Z]+_CPUS:-0\}", service["cpus"])
    assert set(service["networks"]) <= {"data", "programs", "ui"}
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    assert not any("docker.sock" in str(volume) for volume in service.get("volumes", ()))


def test_who_is_in_which_network() -> None:
    """ClickHouse is out of reach of the program server and of the UI."""
    members = {net: {name for name in NAMES if net in SERVICES[name]["networks"]} for net in COMPOSE["networks"]}
    assert members == {
        "data": {"clickhouse", "gateway", "retrain"},
        "programs": {"gateway", "programs"},
        "ui": {"gateway", "ui"},
    }


def test_who_gets_which_secret() -> None:
    """Providers' keys go to the three that call models; each password to those that use it."""
    assert {name for name in NAMES if SERVICES[name].get("env_file") == "keys.env"} == {
        "gateway",
        "programs",
        "retrain",
    }
    assert {name for name in NAMES if "env_file" in SERVICES[name]} == {"gateway", "programs", "retrain"}
    holders = {
        secret: {name for name in NAMES if secret in given(SERVICES[name])}
        for secret in ("CLICKHOUSE_PASSWORD", "T0DSPY_PROGRAMS_KEY")
    }
    assert holders == {
        "CLICKHOUSE_PASSWORD": {"clickhouse", "gateway", "retrain"},
        "T0DSPY_PROGRAMS_KEY": {"gateway", "programs"},
    }
    for path in (".env", "keys.env"):
        assert path in (ROOT / ".gitignore").read_text().split()
    assert "CLICKHOUSE_PASSWORD" not in (ROOT / "keys.env.example").read_text()
    assert "_API_KEY" not in (ROOT / ".env.example").read_text()


def test_every_variable_is_documented() -> None:
    """What compose.yaml reads stands in .env.example, by its name or by its ending."""
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    variables = set(re.findall(r"\$\{([A-Z0-9_]+)", TEXT))
    unknown = {one for one in variables if one not in example and not one.endswith(("_MEMORY", "_CPUS"))}
    assert unknown == set()


def test_clickhouse_has_one_user_with_rights_on_one_database() -> None:
    """It cannot manage users or reach files and hosts; its password comes from the environment."""
    root = ElementTree.parse(ROOT / "clickhouse-users.xml").getroot()
    users = {user.tag: user for user in root.iterfind("users/*")}
    assert users["default"].get("remove") == "remove"
    assert users.keys() == {"default", "t0dspy"}
    assert users["t0dspy"].findall("password")[0].get("from_env") == "CLICKHOUSE_PASSWORD"
    grants = [str(one.text) for one in users["t0dspy"].iterfind("grants/query")]
    assert [one.rpartition(" ON ")[2] for one in grants] == ["tensorzero.*", "*.*", "system.*"]
    assert grants[1] == "GRANT CREATE FUNCTION, DROP FUNCTION ON *.*"
    assert grants[2] == "GRANT SELECT ON system.*"
    for right in ("USER", "ROLE", "ACCESS", "FILE", "URL", "REMOTE", "SYSTEM", "SOURCES", "GRANT OPTION", "ALL"):
        assert not re.search(rf"\b{right}\b", grants[0]), right
