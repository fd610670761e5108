"""A stack's life: start, reload, drain, stop, and what it says when it cannot."""

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from tensorzero import JsonInferenceResponse, TensorZeroGateway

from support.stack import ANSWER, COMMAND, HELLO, Stack, alive, bare_environment, until, write_config
from t0dspy.stack.processes.data_dir import Running, find_clickhouse, find_running
from t0dspy.testing import Reply, ScriptedUpstream

MakeStack = Callable[..., Stack]


def nothing_runs(pids: dict[str, int]) -> bool:
    """Whether all of a stack's processes are gone."""
    return not any(alive(pid) for pid in pids.values())


def refuses_connections(url: str) -> bool:
    """Whether nobody answers at `url` any more."""
    try:
        httpx.get(url + "/status", trust_env=False)
    except httpx.HTTPError:
        return True
    return False


def test_the_run_file_lets_others_find_the_stack(make_stack: MakeStack) -> None:
    """While a stack runs, `find_running` says who and where; the file is private, holds no key, and goes with it."""
    stack = make_stack(T0DSPY_PROGRAMS_KEY="hush-hush").start()
    file = stack.data_dir / "stack.json"
    running = find_running(stack.data_dir)
    assert running == Running(stack.process.pid, str(stack.configs), stack.pids(), stack.urls)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "hush-hush" not in file.read_text()
    assert all(b"hush-hush" not in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in stack.pids().values())
    pids = stack.pids()
    assert stack.stop() == 0
    assert nothing_runs(pids)
    assert not file.exists()
    assert find_running(stack.data_dir) is None
    assert "Traceback" not in stack.said()


def test_a_first_start_says_what_takes_so_long(tmp_path: Path) -> None:
    """From nothing: the migrations are announced, `ready` comes after them, and rows survive a restart."""
    write_config(tmp_path / "configs")
    with ScriptedUpstream(ANSWER) as upstream, Stack(tmp_path, upstream) as stack:
        stack.start()
        assert "First start" in stack.said()
        id = stack.infer().json()["inference_id"]
        assert stack.stop() == 0
        stack.start()
        assert id in stack.stored("JsonInference")
        assert "First start" not in stack.said()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopping_drains(make_stack: MakeStack, scripted: ScriptedUpstream, number: int) -> None:
    """SIGTERM and Ctrl-C let inferences in flight finish, streams too, and store them; exit 0; new ones are refused."""
    stack = make_stack().start()
    scripted.script = Reply(ANSWER, delay=1.5)
    url = stack.url
    with ThreadPoolExecutor(6) as pool:
        waiting = [pool.submit(stack.infer, stream=stream) for stream in (False, True) * 3]
        until(lambda: len(scripted.requests) == 6)
        stack.process.send_signal(number)
        stack.wait_said("requests in flight")
        until(lambda: refuses_connections(url))
        answers = [future.result() for future in waiting]
    assert {answer.status_code for answer in answers} == {200}
    assert stack.ended() == 0
    ids = {answer.json()["inference_id"] for answer in answers[::2]}
    scripted.script = ANSWER
    stack.start()
    assert ids <= stack.stored("JsonInference")
    assert len(stack.stored("JsonInference")) == 6


def test_a_second_ctrl_c_stops_at_once(make_stack: MakeStack, scripted: ScriptedUpstream) -> None:
    """Who does not want to wait for the drain presses Ctrl-C again."""
    stack = make_stack().start()
    pids = stack.pids()
    scripted.script = Reply(ANSWER, delay=60)
    with ThreadPoolExecutor(1) as pool:
        lost = pool.submit(stack.infer)
        until(lambda: len(scripted.requests) == 1)
        stack.process.send_signal(signal.SIGINT)
        stack.wait_said("Ctrl-C again")
        assert stack.stop(signal.SIGINT) == 130
        with suppress(httpx.HTTPError):  # cut off, or told so, whichever comes first
            assert lost.result().status_code == 503
    assert nothing_runs(pids)


def test_stopping_while_starting(make_stack: MakeStack) -> None:
    """A stack that is told to stop before it is ready stops, and leaves nothing."""
    stack = make_stack()
    for delay in (0.0, 0.5, 1.0):
        stack.launch()
        time.sleep(delay)
        stack.process.send_signal(signal.SIGTERM)
        assert stack.ended() in (0, -signal.SIGTERM)  # the latter before Python has begun
    assert stack.start().infer().status_code == 200


def test_kill_9_of_the_supervisor_leaves_no_children(make_stack: MakeStack) -> None:
    """The parts do not outlive the command, and the next start works at once."""
    stack = make_stack().start()
    pids, id = stack.pids(), stack.infer().json()["inference_id"]
    stack.process.kill()
    stack.ended()
    until(lambda: nothing_runs(pids), 5)
    assert find_running(stack.data_dir) is None
    assert id in stack.start().stored("JsonInference")


@pytest.mark.parametrize("part", ["gateway", "clickhouse"])
def test_a_part_that_dies_takes_the_stack_along(make_stack: MakeStack, part: str) -> None:
    """When a part ends by itself the stack says which one, stops, and exits with 1."""
    stack = make_stack().start()
    pids = stack.pids()
    os.kill(pids[part], signal.SIGKILL)
    assert stack.ended() == 1
    assert f"t0dspy: The part {part} (process {pids[part]}) has ended by itself: killed by SIGKILL" in stack.said()
    assert nothing_runs(pids)


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
        until(lambda: len(scripted.requests) >= enough, 60)

    with ThreadPoolExecutor(8) as pool:
        clients = [pool.submit(client, number) for number in range(8)]
        wait_for_answers()
        for turn in range(3):
            (stack.configs / "qa" / "system.minijinja").write_text(f"JSON, turn {turn}.")
            before = stack.status()["config_hash"]
            stack.process.send_signal(signal.SIGHUP)
            until(lambda before=before: stack.status()["config_hash"] != before)  # type: ignore[misc]
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
        until(lambda: len(scripted.requests) == 2)
        (stack.configs / "qa" / "system.minijinja").write_text("New JSON.")
        stack.process.send_signal(signal.SIGHUP)
        until(lambda: stack.status()["config_hash"] != old)
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
        assert "keeps serving the config it had" in said
        assert str(stack.data_dir) not in said
        assert stack.status() == old
        assert stack.infer().status_code == 200
    (stack.configs / "tensorzero.toml").write_text(good.replace('optimize = "max"', 'optimize = "min"'))
    in_the_way = stack.data_dir / "stack.json.new"
    in_the_way.mkdir()  # as on a full disk, the run file cannot be written
    stack.process.send_signal(signal.SIGHUP)
    stack.wait_said("stack.json cannot be written (Is a directory), so other commands do not know the latest state.")
    until(lambda: stack.status() != old)
    in_the_way.rmdir()
    stack.process.send_signal(signal.SIGHUP)  # what the gateway reports is still read
    until(lambda: json.loads((stack.data_dir / "stack.json").read_text())["load"]["config_hash"] is not None)


def test_a_base_path_of_the_config(make_stack: MakeStack, tmp_path: Path) -> None:
    """Below `gateway.base_path` is what a gateway serves there, from the reload on that brings it."""
    stack = make_stack().start()

    def below() -> httpx.Response:
        return httpx.get(f"{stack.url}/team/a/status", trust_env=False)

    assert below().status_code == 501
    config = stack.configs / "tensorzero.toml"
    config.write_text('gateway.base_path = "/team/a/"\n' + config.read_text())
    stack.process.send_signal(signal.SIGHUP)
    until(lambda: below().status_code == 200)
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
        until(lambda before=before: stack.status()["config_hash"] != before)  # type: ignore[misc]
        assert (stack.status()["config_hash"] == first) is same


def test_the_hash_is_that_of_the_meaning(make_stack: MakeStack) -> None:
    """The same config at another place has the same hash, likeness or not."""
    hashes = set()
    for name in ("here", "there"):
        with make_stack(name=name).start() as stack:
            hashes.add(stack.status()["config_hash"])
    assert len(hashes) == 1


# ---- failures to start ----


def refused(stack: Stack) -> str:
    """The one message of a stack that does not start: exit 1, nothing on stdout, nothing left running."""
    process = stack.launch()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1, stack.said()
    assert out == ""
    assert not (stack.data_dir / "stack.json").exists()
    lines = [line for line in stack.said().splitlines() if line.startswith("t0dspy: ")]
    assert len(lines) == 1, stack.said()
    assert "Traceback" not in stack.said()
    return stack.said()


def test_a_second_stack_on_the_same_directory(make_stack: MakeStack) -> None:
    """One stack at a time on a data directory; the second says who has it, and the first goes on."""
    first = make_stack().start()
    second = Stack(first.directory)
    process = subprocess.run(
        [COMMAND, "up", f"--configs={second.configs}", f"--data-dir={second.data_dir}", "--gateway-port=0"],
        capture_output=True, text=True, env=bare_environment(), timeout=60, check=False,
    )  # fmt: skip
    assert process.returncode == 1
    assert f"process {first.process.pid}, {first.url}" in process.stderr
    assert first.infer().status_code == 200
    assert first.pids()


@pytest.mark.parametrize("part", ["gateway", "clickhouse"])
def test_a_port_in_use(make_stack: MakeStack, part: str) -> None:
    """A taken port is said with who holds it and which flag changes it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(make_stack(f"--{part}-port={port}"))
    assert f"Port {port}" in said
    assert f"process {os.getpid()}" in said
    assert f"--{part}-port" in said


def test_config_errors_come_in_tensorzeros_words(make_stack: MakeStack) -> None:
    """A config that does not hold is refused with TensorZero's own sentence and the user's own path."""
    stack = make_stack()
    good = (stack.configs / "tensorzero.toml").read_text()
    for broken, words in {
        good + "\n[nonsense]\n": "nonsense: unknown field `nonsense`",
        good.replace("qa/out.json", "qa/lost.json"): "Failed to resolve path `qa/lost.json`",
    }.items():
        (stack.configs / "tensorzero.toml").write_text(broken)
        said = refused(stack)
        assert words in said
        assert str(stack.configs) in said
        assert str(stack.data_dir) not in said


def test_a_missing_provider_key_is_named(make_stack: MakeStack) -> None:
    """A key that is not set is named, with the model that wants it."""
    stack = make_stack()
    with (stack.configs / "more.toml").open("w") as file:
        file.write('[models.big]\nrouting = ["x"]\n[models.big.providers.x]\ntype = "openai"\nmodel_name = "y"\n')
    said = refused(stack)
    assert "OPENAI_API_KEY is not set" in said
    assert "model 'big' (provider 'x')" in said
    stack.env["OPENAI_API_KEY"] = "sk-secret"
    assert stack.start().stop() == 0
    assert "sk-secret" not in stack.said()


def test_no_config_at_all(make_stack: MakeStack) -> None:
    """No directory, or one without TOML, is said so."""
    stack = make_stack()
    shutil.rmtree(stack.configs)
    assert "no config directory" in refused(stack)
    stack.configs.mkdir()
    assert "holds no TOML file" in refused(stack)


def test_turned_off_observability_is_refused(make_stack: MakeStack) -> None:
    """A stack that would store nothing says so instead of serving."""
    stack = make_stack()
    file = stack.configs / "tensorzero.toml"
    file.write_text(file.read_text().replace("enabled = true", "enabled = false"))
    assert "observability" in refused(stack)


def test_foreign_and_unusable_data_directories(make_stack: MakeStack) -> None:
    """A directory that is not ours is left alone; a path that cannot be one is said so."""
    stack = make_stack()
    shutil.rmtree(stack.data_dir)
    stack.data_dir.mkdir()
    (stack.data_dir / "thesis.tex").write_text("precious")
    assert "thesis.tex" in refused(stack)
    assert [entry.name for entry in stack.data_dir.iterdir()] == ["thesis.tex"]
    for unusable in (stack.data_dir / "thesis.tex", stack.data_dir / "thesis.tex" / "below", Path("/proc/nowhere")):
        stack.data_dir = unusable
        assert "Cannot use the data directory" in refused(stack)


def test_a_foreign_database_inside(make_stack: MakeStack) -> None:
    """What is wrong with ClickHouse's own directory is said by ClickHouse's half, once."""
    stack = make_stack()
    shutil.rmtree(stack.data_dir / "clickhouse")
    (stack.data_dir / "clickhouse").mkdir()
    (stack.data_dir / "clickhouse" / "else.txt").write_text("x")
    assert "else.txt" in refused(stack)


# ---- parts, hosts, addresses ----


def test_parts_run_alone(make_stack: MakeStack, tmp_path: Path) -> None:
    """ClickHouse alone and a gateway alone make a stack together; a gateway without ClickHouse says what it misses."""
    stack = make_stack()
    assert "No ClickHouse answers at 127.0.0.1:1." in refused(
        make_stack("--only=gateway", name="lonely", TENSORZERO_CLICKHOUSE_URL="http://u:hush@127.0.0.1:1/tensorzero")
    )
    command = [COMMAND, "up", "--only=clickhouse", f"--data-dir={stack.data_dir}", "--clickhouse-port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=bare_environment()) as clickhouse:
        assert clickhouse.stdout is not None
        assert clickhouse.stdout.readline() == "ready\n"
        assert "@" not in clickhouse.stdout.readline()
        stack.flags.append("--only=gateway")
        stack.env["TENSORZERO_CLICKHOUSE_URL"] = f"{find_clickhouse(stack.data_dir)}/tensorzero"
        assert stack.start().infer().status_code == 200
        assert stack.stop() == 0
        clickhouse.terminate()
        assert clickhouse.wait(20) == 0


def test_another_host_is_warned_about(make_stack: MakeStack) -> None:
    """A stack that others can reach warns that the gateway authenticates nobody; by default it listens here alone."""
    stack = make_stack("--host=0.0.0.0").start()
    assert "does not authenticate its callers" in stack.said()
    assert stack.infer().status_code == 200


def test_addresses_come_from_the_project_too(make_stack: MakeStack, scripted: ScriptedUpstream, tmp_path: Path) -> None:
    """`[tool.t0dspy.stack.addresses]` maps names like the flag does, and the user's files stay as they are.

    Files of the project that are called like modules of ours or of our libraries are not imported by the parts.
    """
    stack = make_stack()
    for module in ("uvicorn", "starlette", "h11", "h2", "random", "t0dspy"):
        (tmp_path / f"{module}.py").write_text("raise SystemExit('a file of the project was imported')")
    address = stack.flags.pop().rpartition("upstream=")[2]
    (tmp_path / "pyproject.toml").write_text(f'[tool.t0dspy.stack.addresses]\nupstream = "{address}"\n')
    before = (stack.configs / "tensorzero.toml").read_bytes()
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        stack.start()
    finally:
        os.chdir(here)
    assert stack.infer().status_code == 200
    assert (stack.configs / "tensorzero.toml").read_bytes() == before
    assert json.dumps(sorted(path.name for path in stack.configs.rglob("*"))) == (
        '["out.json", "qa", "system.minijinja", "tensorzero.toml"]'
    )
    assert len(scripted.requests) == 1


def test_quiet_prints_nothing(make_stack: MakeStack) -> None:
    """With `--quiet` a stack that runs well says nothing at all."""
    stack = make_stack("--quiet")
    process = stack.launch()
    until(lambda: find_running(stack.data_dir) is not None)
    process.terminate()
    assert process.stdout is not None
    assert process.stdout.read() == ""
    assert stack.ended() == 0
    assert stack.said() == ""
