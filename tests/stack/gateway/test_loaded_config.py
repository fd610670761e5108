"""A reload serves the new config, and a broken config keeps the old one."""

import json
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from tensorzero import JsonInferenceResponse, TensorZeroGateway

from support.stack import (
    ANSWER,
    HELLO,
    MakeStack,
    wait_until,
)
from t0dspy.testing import Reply, ScriptedUpstream


# ---- reload ----
def test_a_reload_under_load_drops_nothing(make_stack: MakeStack, scripted: ScriptedUpstream) -> None:
    """SIGHUP takes the new config while requests go on: none fails, and both configs answered some."""
    stack = make_stack().start()
    scripted.script = Reply(ANSWER, delay=0.02)
    old, stop = stack.status()["config_hash"], threading.Event()

    def client(_: int) -> list[int]:
        with httpx.Client(base_url=stack.url, trust_env=False, timeout=30) as http:
            body = {"function_name": "qa", "input": {"messages": [{"role": "user", "content": "x"}]}}
            return [http.post("/inference", json=body).status_code for _ in iter(stop.is_set, True)]

    def wait_for_answers() -> None:
        enough = len(scripted.requests) + 9  # eight may be under way with the config of before
        wait_until(lambda: len(scripted.requests) >= enough, 60)

    with ThreadPoolExecutor(8) as pool:
        clients = [pool.submit(client, number) for number in range(8)]
        wait_for_answers()
        for turn in range(3):
            (stack.configs / "qa" / "system.minijinja").write_text(f"JSON, turn {turn}.")
            before = stack.status()["config_hash"]
            stack.process.send_signal(signal.SIGHUP)
            wait_until(lambda before=before: stack.status()["config_hash"] != before)  # type: ignore[misc]
            wait_for_answers()
        stop.set()
        codes = [code for future in clients for code in future.result()]
    assert set(codes) == {200}
    assert len(stack.stored("JsonInference")) == len(codes)
    hashes = {hash for (hash,) in stack.rows("SELECT DISTINCT toString(snapshot_hash) FROM JsonInference")}
    assert {old, stack.status()["config_hash"]} <= hashes
    assert len(hashes) == 4
    systems = {request.body["messages"][0]["content"] for request in scripted.requests}
    assert "JSON, turn 2." in systems
    assert stack.status()["config_hash"] in stack.wait_said("config_hash")


def test_the_old_config_finishes_what_it_began(make_stack: MakeStack, scripted: ScriptedUpstream) -> None:
    """A request that was begun before a reload is answered, and logged, by the config that it began with."""
    stack = make_stack().start()
    old = stack.status()["config_hash"]
    scripted.script = Reply(ANSWER, delay=1.5)
    with ThreadPoolExecutor(2) as pool:
        slow = [pool.submit(stack.infer, stream=stream) for stream in (False, True)]
        wait_until(lambda: len(scripted.requests) == 2)
        (stack.configs / "qa" / "system.minijinja").write_text("New JSON.")
        stack.process.send_signal(signal.SIGHUP)
        wait_until(lambda: stack.status()["config_hash"] != old)
        assert {future.result().status_code for future in slow} == {200}
    assert stack.rows("SELECT DISTINCT toString(snapshot_hash) FROM JsonInference") == [[old]]


def test_a_broken_config_keeps_the_old_one_serving(make_stack: MakeStack) -> None:
    """A reload of a broken config says why in TensorZero's words, with the user's own paths, and changes nothing."""
    stack = make_stack().start()
    old = stack.status()
    good = (stack.configs / "tensorzero.toml").read_text()
    for broken, words in {
        good + "\n[nonsense]\n": "unknown field `nonsense`",
        good + "[": "TOML parse error",
        good.replace("qa/out.json", "qa/lost.json"): "No such file",
        good.replace('api_key_location = "none"', 'api_key_location = "env::LOST_KEY"'): "LOST_KEY is not set",
    }.items():
        (stack.configs / "tensorzero.toml").write_text(broken)
        stack.process.send_signal(signal.SIGHUP)
        said = stack.wait_said(words)
        assert "keeps serving the old config" in said
        assert str(stack.data_dir) not in said
        assert stack.status() == old
        assert stack.infer().status_code == 200
    (stack.configs / "tensorzero.toml").write_text(good.replace('optimize = "max"', 'optimize = "min"'))
    in_the_way = stack.data_dir / ".stack.json.new"
    in_the_way.mkdir()  # as on a full disk, the run file cannot be written
    stack.process.send_signal(signal.SIGHUP)
    stack.wait_said("stack.json cannot be written (Is a directory), so other commands do not know the latest state.")
    wait_until(lambda: stack.status() != old)
    in_the_way.rmdir()
    stack.process.send_signal(signal.SIGHUP)  # what the gateway reports is still read
    wait_until(lambda: json.loads((stack.data_dir / "stack.json").read_text())["load"]["config_hash"] is not None)


def test_a_base_path_of_the_config(make_stack: MakeStack, tmp_path: Path) -> None:
    """Below `gateway.base_path` is what a gateway serves there, from the reload on that brings it."""
    stack = make_stack().start()

    def below() -> httpx.Response:
        return httpx.get(f"{stack.url}/team/a/status", trust_env=False)

    assert below().status_code == 501
    config = stack.configs / "tensorzero.toml"
    config.write_text('gateway.base_path = "/team/a/"\n' + config.read_text())
    stack.process.send_signal(signal.SIGHUP)
    wait_until(lambda: below().status_code == 200)
    with TensorZeroGateway.build_http(gateway_url=f"{stack.url}/team/a") as client:
        assert isinstance(client.inference(function_name="qa", input=HELLO), JsonInferenceResponse)


def test_going_back_gives_the_old_hash(make_stack: MakeStack) -> None:
    """The hash is that of the config, so what was undone has its old one."""
    stack = make_stack().start()
    template, first = stack.configs / "qa" / "system.minijinja", stack.status()["config_hash"]
    text = template.read_text()
    for content, same in (("Other JSON.", False), (text, True)):
        before = stack.status()["config_hash"]
        template.write_text(content)
        stack.process.send_signal(signal.SIGHUP)
        wait_until(lambda before=before: stack.status()["config_hash"] != before)  # type: ignore[misc]
        assert (stack.status()["config_hash"] == first) is same


def test_the_hash_is_that_of_the_meaning(make_stack: MakeStack) -> None:
    """The same config at another place has the same hash, likeness or not."""
    hashes = set()
    for name in ("here", "there"):
        with make_stack(name=name).start() as stack:
            hashes.add(stack.status()["config_hash"])
    assert len(hashes) == 1
