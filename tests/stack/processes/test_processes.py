"""A stack's life: start, reload, drain, stop, and what it says when it cannot."""

import json
import os
import signal
import stat
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from support.stack import (
    ANSWER,
    COMMAND,
    MakeStack,
    Stack,
    alive,
    bare_environment,
    refused,
    wait_until,
    write_config,
)
from t0dspy.stack.processes.data_dir import Running, find_clickhouse, find_running
from t0dspy.testing import Reply, ScriptedUpstream


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
        wait_until(lambda: len(scripted.requests) == 6)
        stack.process.send_signal(number)
        stack.wait_said("requests in flight")
        wait_until(lambda: refuses_connections(url))
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
        wait_until(lambda: len(scripted.requests) == 1)
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
    wait_until(lambda: nothing_runs(pids), 5)
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
    wait_until(lambda: find_running(stack.data_dir) is not None)
    process.terminate()
    assert process.stdout is not None
    assert process.stdout.read() == ""
    assert stack.ended() == 0
    assert stack.said() == ""
