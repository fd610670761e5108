"""In a real browser: no page of another origin reads, writes or calls anything on any port of `t0dspy up`."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from browser.attacker import Attacker, Sink
from browser.chromium import showing
from support.stack import ANSWER, HELLO, Stack, wait_until, write_config
from t0dspy.testing import ScriptedUpstream

ATTEMPTS = {
    *("img", "script", "style", "iframe", "get", "nocorsget", "noreferrer", "cors", "simple", "nocors", "xhr"),
    *("urlencoded", "plain", "multipart", "beacon", "websocket"),
}
SECRET = "a user's secret text"
LEAK = "SELECT 'window.leaked = 1' FORMAT RawBLOB"
PLANT = "INSERT INTO default.planted SELECT {via:String}"
INFERENCE = {"tags": {"from": "a=page"}, "function_name": "qa", "input": HELLO}
LIST_ALL = {"function_name": "qa", "output_source": "inference"}


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream(ANSWER) as server:
        yield server


@pytest.fixture(scope="module")
def attacker() -> Iterator[Attacker]:
    with Attacker() as site:
        yield site


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    with Sink() as server:
        yield server


def _stack(directory: Path, migrated: Path, upstream: ScriptedUpstream, *flags: str) -> Stack:
    shutil.copytree(migrated, directory / "data", symlinks=True)
    write_config(directory / "configs")
    running = Stack(directory, upstream, *flags).start()
    running.rows("CREATE TABLE default.planted (via String) ENGINE = MergeTree ORDER BY via")
    running.post("/inference", {**INFERENCE, "input": {"messages": [{"role": "user", "content": SECRET}]}})
    return running


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, migrated: Path, upstream: ScriptedUpstream) -> Iterator[Stack]:
    running = _stack(tmp_path_factory.mktemp("stack"), migrated, upstream)
    with running:
        yield running


def _clickhouse(stack: Stack, base: str) -> dict[str, Any]:
    """Reads by a script, writes by a form; with the right user and password, as if the page knew them."""
    known = urlsplit(stack.urls["clickhouse"])
    login = f"user={quote(known.username or 'default')}&password={quote(known.password or '')}"
    read, write = (f"{base}/?{login}&query={quote(sql)}&param_via=" for sql in (LEAK, PLANT))
    body = "-- ="  # a comment, so that no attempt fails only because its body is no SQL
    return {"name": "clickhouse", "get": read, "url": write, "body": body}


def _gateway(base: str) -> list[dict[str, Any]]:
    ask = f"{base}/inference?via="
    read = f"{base}/v1/inferences/list_inferences?via="
    return [
        {"name": "inference", "get": f"{base}/status?via=", "url": ask, "body": json.dumps(INFERENCE)},
        {"name": "list", "get": f"{base}/health?via=", "url": read, "body": json.dumps(LIST_ALL)},
    ]


def _programs(base: str) -> dict[str, Any]:
    ask, body = f"{base}/v1/chat/completions?via=", json.dumps({"model": "=", "messages": []})
    return {"name": "programs", "get": f"{base}/ready?via=", "url": ask, "body": body}


def _targets(stack: Stack) -> list[dict[str, Any]]:
    bare = {part: f"http://127.0.0.1:{urlsplit(url).port}" for part, url in stack.urls.items()}
    return [_clickhouse(stack, bare["clickhouse"]), *_gateway(bare["gateway"]), _programs(bare["programs"])]


def _attacked(site: Attacker, sink: Sink, targets: list[dict[str, Any]], host: str, profile: Path) -> dict[str, str]:
    """Show the page on `host`, and return what it could read; everything that it sends has arrived by then.

    The last target is a server that accepts everybody, so it is certain that the page did try all it can.
    """
    sink.arrived.clear()
    site.targets = [*targets, {"name": "sink", "get": f"{sink.url}/?via=", "url": f"{sink.url}/?via=", "body": "a=b"}]
    with showing(f"http://{host}:{site.port}/attack/page", profile):
        report = site.report()
        wait_until(
            lambda: sink.arrived == ATTEMPTS,
            what=lambda: f"all attempts at a server that does not look: {sink.arrived}",
        )
    return report


def _assert_nothing_happened(stack: Stack, upstream: ScriptedUpstream, report: dict[str, str]) -> None:
    assert stack.rows("SELECT via FROM default.planted ORDER BY via") == [], "a planted row"
    assert upstream.requests == [], "an inference"
    assert report["leaked"] == "null", "a result, read as a script"
    answers = {attempt: said for attempt, said in report.items() if not attempt.startswith("sink")}
    assert not [attempt for attempt, said in answers.items() if SECRET in said or said.startswith("200")], answers


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "evil.example"])
def test_a_page_of_another_origin(
    host: str, stack: Stack, upstream: ScriptedUpstream, attacker: Attacker, sink: Sink, tmp_path: Path
) -> None:
    """Another port of this machine, another address of it, and a site of the web: each can do nothing."""
    upstream.requests.clear()
    report = _attacked(attacker, sink, _targets(stack), host, tmp_path / "profile")
    _assert_nothing_happened(stack, upstream, report)


@pytest.mark.parametrize("part", ["clickhouse", "gateway", "programs"])
def test_a_page_whose_name_leads_to_this_machine(
    part: str, stack: Stack, upstream: ScriptedUpstream, sink: Sink, tmp_path: Path
) -> None:
    """After DNS rebinding the page has the server's own origin, and may read what is answered; nothing is."""
    upstream.requests.clear()
    victim = f"http://127.0.0.1:{urlsplit(stack.urls[part]).port}"
    with Attacker(rebound_to=victim) as site:
        base = f"http://evil.example:{site.port}"
        targets = {"clickhouse": [_clickhouse(stack, base)], "gateway": _gateway(base), "programs": [_programs(base)]}
        report = _attacked(site, sink, targets[part], "evil.example", tmp_path / "profile")
    _assert_nothing_happened(stack, upstream, report)


def test_a_page_that_a_flag_names(
    migrated: Path, upstream: ScriptedUpstream, attacker: Attacker, sink: Sink, tmp_path: Path
) -> None:
    """A local front end really works: it reads and calls by CORS. Images and scripts stay refused."""
    flag = f"--allow-origin=http://127.0.0.2:{attacker.port}"
    with _stack(tmp_path / "stack", migrated, upstream, flag) as running:
        upstream.requests.clear()
        report = _attacked(attacker, sink, _targets(running), "127.0.0.2", tmp_path / "profile")
        assert SECRET in report["list cors"]
        assert report["inference cors"].startswith("200 ")
        assert "inference_id" in report["inference cors"]
        assert report["clickhouse cors"].startswith("200 ")
        assert report["programs get"].startswith("200 ")
        assert len(upstream.requests) >= 1
        assert ["cors"] in running.rows("SELECT via FROM default.planted")
        assert report["leaked"] == "null"
        upstream.requests.clear()
        running.rows("TRUNCATE TABLE default.planted")
        others = _attacked(attacker, sink, _targets(running), "127.0.0.1", tmp_path / "other")
        _assert_nothing_happened(running, upstream, others)
