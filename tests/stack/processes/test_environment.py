"""A part of the stack gets the variables that it needs, and no secret that it does not need."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from support.stack import Stack, wait_until
from t0dspy.stack.processes.environment import clickhouse_environment, gateway_environment
from t0dspy.testing import ScriptedUpstream

SECRETS = {"STRIPE_KEY": "s1", "DATABASE_URL": "s2", "GITHUB_TOKEN": "s3", "MY_TOOL_API_KEY": "s4", "LD_PRELOAD": ""}
PROCESS = {"PATH": "/bin", "HOME": "/h", "LC_ALL": "C", "TZ": "UTC", "PYTHONPATH": "/p", "LD_LIBRARY_PATH": "/l"}
PROVIDERS = {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k", "AWS_SECRET_ACCESS_KEY": "k", "AZURE_API_KEY": "k"}
GATEWAY = {"TENSORZERO_CLICKHOUSE_URL": "u", "T0DSPY_PROGRAMS_KEY": "p", "https_proxy": "x", "SSL_CERT_FILE": "c"}
DATABASE = {"CLICKHOUSE_USER": "u", "CLICKHOUSE_PASSWORD": "p"}
ALL = {**SECRETS, **PROCESS, **PROVIDERS, **GATEWAY, **DATABASE, "RUST_LOG": "off"}


def test_clickhouse_gets_its_own_alone() -> None:
    """No key of a provider, no secret of the user's programs."""
    assert clickhouse_environment(ALL) == {**PROCESS, **DATABASE}


def test_the_gateway_gets_what_providers_and_its_config_need() -> None:
    """Providers' default keys, credential chains, proxies, certificates, and what the config names."""
    expected = {**PROCESS, **PROVIDERS, **GATEWAY, "RUST_LOG": "off"}
    assert gateway_environment(ALL, []) == expected
    config = 'api_key_location = "env::MY_TOOL_API_KEY"\ncredential_location = "path_from_env::GITHUB_TOKEN"'
    named = {name: SECRETS[name] for name in ("MY_TOOL_API_KEY", "GITHUB_TOKEN")}
    assert gateway_environment(ALL, ["[gateway]", config]) == {**expected, **named}
    assert gateway_environment(ALL, ['x = "env::NOT_SET"']) == expected


@pytest.mark.parametrize("key", ["groq", "xai", "together", "google_ai_studio", "deepseek", "openrouter", "mistral"])
def test_any_provider_may_be_named_by_a_request(key: str) -> None:
    """A request may name `groq::...` although no config does, so the default keys of all providers are there."""
    assert gateway_environment({f"{key.upper()}_API_KEY": "k"}, []) == {f"{key.upper()}_API_KEY": "k"}


def test_a_running_stack_shows_no_secret(make_stack: Callable[..., Stack], upstream: ScriptedUpstream) -> None:
    """/proc shows a planted secret in the program server alone; a variable that a reloaded config names arrives.

    Under umask 000, what ClickHouse and the gateway write is for their owner alone.
    """
    keys = {"PLANTED": "planted-secret", "LATER_KEY": "later-secret", "OPENAI_API_KEY": "provider-key"}
    stack, before = make_stack(**keys), os.umask(0)
    old = set(stack.data_dir.rglob("*"))
    try:
        stack.start()
    finally:
        os.umask(before)
    with stack as running:
        seen = {part: Path(f"/proc/{pid}/environ").read_bytes() for part, pid in running.pids().items()}
        assert b"planted-secret" in seen["programs"]
        assert b"planted-secret" not in seen["gateway"] + seen["clickhouse"]
        assert b"provider-key" in seen["gateway"]
        assert b"provider-key" not in seen["clickhouse"]
        assert b"later-secret" not in seen["gateway"]

        config, served = running.configs / "tensorzero.toml", running.status()["config_hash"]
        config.write_text(config.read_text().replace('_location = "none"', '_location = "env::LATER_KEY"'))
        running.process.send_signal(signal.SIGHUP)
        wait_until(lambda: running.status()["config_hash"] != served, what=running.said)
        assert running.infer().status_code == 200
        assert upstream.requests[-1].headers["authorization"] == "Bearer later-secret"

        running.rows("SELECT 1")  # stores what waits
        kept = [path for path in (running.data_dir / "clickhouse").rglob("*") if path.is_file() and path not in old]
        assert len(kept) > 10
        assert [path for path in kept if path.exists() and path.stat().st_mode & 0o077 and path.suffix != ".lock"] == []
        assert running.stop() == 0
