"""Runs that hang, callers that leave, workers that die, a gateway that restarts."""

import asyncio
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from support.served import (
    APPS,
    KEY,
    ProgramServer,
    Served,
    answer,
    at_once,
    delayed,
    export,
    failure,
    free_port,
)
from support.stack import COMMAND, bare_environment, wait_until
from t0dspy.artifact.exported import ExportedProgram
from t0dspy.errors import GatewayError
from t0dspy.gateway import HttpGateway, Inference
from t0dspy.testing import ScriptedUpstream
from t0dspy.transport.answer import read_inference
from t0dspy.transport.run import Run
from t0dspy.transport.served_version import served_version

NAUGHTY = "naughty/v1"


def workers_of(server: ProgramServer, program: str) -> list[int]:
    """The processes that became ready for a program, in this order."""
    return [one["worker"] for one in server.events("worker ready") if one["program"] == program]


def test_a_hung_run_is_cut_and_takes_nobody_down(served: Served) -> None:
    """It fails at its deadline; the others of its worker finish; a fresh worker takes over."""
    with ProgramServer(served, "--workers=1") as server:
        hung, slow = at_once(
            [
                lambda: server.run(NAUGHTY, arguments={"topic": "hang"}),
                lambda: server.run(NAUGHTY, arguments={"topic": "nap"}),
            ]
        )
        assert failure(hung)[:2] == (504, "deadline")
        assert answer(slow) == {"text": "text of outline of nap"}
        assert answer(server.run("tales/v1", arguments={"topic": "after"}))
        wait_until(lambda: server.events("worker retires"))
        ready = workers_of(server, "naughty")
        assert len(set(ready)) == 2
        wait_until(lambda: not os.path.exists(f"/proc/{ready[0]}"))


def test_a_crashed_worker_fails_its_runs_at_once(served: Served) -> None:
    """All runs of the worker fail clearly, long before their deadline, and a new worker answers."""
    with ProgramServer(served, "--workers=1") as server:
        hung, crashed = at_once(
            [
                lambda: server.run(NAUGHTY, arguments={"topic": "hang"}),
                lambda: (time.sleep(1.5), server.run(NAUGHTY, arguments={"topic": "crash"}))[1],
            ]
        )
        assert failure(hung)[:2] == failure(crashed)[:2] == (500, "worker_died")
        assert answer(server.run("tales/v1", arguments={"topic": "after"}))


def test_a_caller_that_leaves_stops_the_run(served: Served, scripted: ScriptedUpstream, tmp_path: Path) -> None:
    """The stage in flight ends; the next one is never asked for."""
    effects = tmp_path / "log"
    scripted.script = delayed(1.0)
    with ProgramServer(served, "--workers=1", SIDE_EFFECTS=str(effects)) as server:
        with pytest.raises(httpx.ReadTimeout):
            server.run(NAUGHTY, arguments={"topic": "ok"}, timeout=0.7)
        wait_until(lambda: "went on ok" in effects.read_text())
        time.sleep(1.0)
        assert len(scripted.requests) == 1
        assert server.events("caller went away")


def test_more_than_fits_is_turned_away(served: Served, scripted: ScriptedUpstream) -> None:
    """Beyond the queue there is a 503 with Retry-After; what was taken in is answered."""
    scripted.script = delayed(0.7)
    with ProgramServer(served, "--workers=1", "--runs=2", "--queue=2") as server:
        responses = at_once([lambda at=at: server.run("tales/v1", arguments={"topic": f"{at}"}) for at in range(8)])
    taken = [one for one in responses if one.status_code == 200]
    away = [one for one in responses if one.status_code == 503]
    assert (len(taken), len(away)) == (4, 4)
    assert all(one.headers["retry-after"] == "1" for one in away)


def test_a_graceful_stop(served: Served, scripted: ScriptedUpstream) -> None:
    """SIGTERM: runs in flight finish, new callers are not let in, nothing stays behind."""
    scripted.script = delayed(1.0)
    with ProgramServer(served, "--workers=1") as server:
        found: list[httpx.Response] = []
        caller = threading.Thread(target=lambda: found.append(server.run("tales/v1", arguments={"topic": "last"})))
        caller.start()
        wait_until(lambda: len(scripted.requests) == 1)
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: server.events("stopping"))
        with pytest.raises((httpx.ConnectError, httpx.ReadError)):  # or reset, who knocked while the door was closing
            wait_until(lambda: server.run("tales/v1", arguments={"topic": "late"}).status_code == 0)
        assert server.process.wait(20) == 0
        caller.join()
        assert answer(found[0]) == {"text": "text of outline of last"}
        worker = server.events("worker ready")[0]["worker"]
        wait_until(lambda: not os.path.exists(f"/proc/{worker}"))


def test_an_export_after_the_start_is_found(served: Served) -> None:
    """A version that is new on disk is loaded when it is first asked for."""
    with ProgramServer(served, "--workers=1") as server:
        try:
            version = export(served.configs, "stories:stories", name="later")
            found = failure(server.run(f"later/{version}", arguments={"topic": "x"}))
            assert found[1] == "stage_failed"  # it ran, but this gateway was not told of the new version
        finally:
            shutil.rmtree(served.configs / "programs" / "later")


class Parts:
    """ClickHouse, the gateway and the program server apart, so that the gateway can be restarted."""

    def __init__(self, served: Served, model: ScriptedUpstream) -> None:
        self.served, self.port = served, free_port()
        self.server = ProgramServer(served, "--workers=1", gateway_url=self.url)
        at = model.url.removeprefix("http://").removesuffix("/v1")
        self.flags = [f"--address=upstream={at}", f"--address=programs=127.0.0.1:{self.server.port}"]
        self.gateway = self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> "subprocess.Popen[str]":
        command = [COMMAND, "up", "--only=gateway", f"--configs={self.served.configs}", f"--gateway-port={self.port}"]
        command += [f"--data-dir={self.served.directory / 'other'}", *self.flags]
        database = self.served.urls["clickhouse"] + "/tensorzero"
        env = {**bare_environment(), "T0DSPY_PROGRAMS_KEY": KEY, "TENSORZERO_CLICKHOUSE_URL": database}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    def end(self, number: int) -> None:
        self.gateway.send_signal(number)
        self.gateway.wait(30)
        assert self.gateway.stdout is not None
        self.gateway.stdout.close()


@pytest.fixture
def parts(served: Served, scripted: ScriptedUpstream) -> Iterator[Parts]:
    running = Parts(served, scripted)
    with running.server:
        yield running
    if running.gateway.poll() is None:
        running.end(signal.SIGTERM)


def test_the_gateway_restarts_under_eight_runs(parts: Parts, scripted: ScriptedUpstream) -> None:
    """All finish or fail clearly once, and no stage of a run is answered twice."""
    scripted.script = delayed(0.5)
    found: dict[int, httpx.Response] = {}
    topics = [f"restart {at}." for at in range(8)]

    def call(at: int) -> None:
        time.sleep(0.15 * at)
        found[at] = parts.server.run("tales/v1", arguments={"topic": topics[at]})

    callers = [threading.Thread(target=call, args=(at,)) for at in range(8)]
    for caller in callers:
        caller.start()
    wait_until(lambda: len(scripted.requests) >= 4)
    parts.end(signal.SIGTERM)
    time.sleep(1.0)
    parts.gateway = parts.start()
    for caller in callers:
        caller.join()
    for at, response in found.items():
        assert response.status_code == 200 or failure(response)[1] == "stage_failed", response.text
        if response.status_code == 200:
            assert answer(response) == {"text": f"text of outline of {topics[at]}"}
    assert sum(one.status_code == 200 for one in found.values()) >= 6
    assert_answered_once(parts.served, "restart")


def test_an_async_stage_waits_out_a_restart(parts: Parts) -> None:
    """It is asked for once the gateway answers again; where that is after the deadline, it fails clearly."""
    from stories import Stories

    exported = ExportedProgram.read(parts.served.configs, "tales")
    served = served_version(exported, "v1", Stories())
    gateway = HttpGateway(parts.url)

    async def ask(seconds: float) -> Inference:
        run = Run(served, None, gateway, deadline=seconds)
        block = {"type": "tensorzero::template", "name": "user", "arguments": {"topic": "patience"}}
        body = {
            "model": "tensorzero::function_name::tales__plan",
            "tensorzero::variant_name": "v1",
            "messages": [{"role": "user", "content": [block]}],
        }
        return read_inference(await run.asend(body))

    async def across_a_restart() -> Inference:
        patient = asyncio.create_task(ask(60))
        with pytest.raises(GatewayError, match=r"met its deadline after 1 s, waiting for the gateway"):
            await ask(1.0)
        assert not patient.done()
        parts.gateway = await asyncio.to_thread(parts.start)
        return await patient

    parts.end(signal.SIGTERM)
    assert asyncio.run(across_a_restart()).variant == "v1"
    assert_answered_once(parts.served, "patience")


def test_sighup_reads_the_programs_again(served: Served, scripted: ScriptedUpstream) -> None:
    """New workers take over; a run in flight ends where it began."""
    scripted.script = delayed(1.0)
    with ProgramServer(served, "--workers=1") as server:

        def reload() -> None:
            wait_until(lambda: scripted.requests)
            server.process.send_signal(signal.SIGHUP)

        first, _ = at_once([lambda: server.run("tales/v1", arguments={"topic": "before"}), reload])
        assert answer(first) == {"text": "text of outline of before"}
        wait_until(lambda: len(workers_of(server, "tales")) == 2)
        before, after = workers_of(server, "tales")
        wait_until(lambda: not os.path.exists(f"/proc/{before}"))
        assert answer(server.run("tales/v1", arguments={"topic": "after"})) == {"text": "text of outline of after"}
        assert os.path.exists(f"/proc/{after}")


def test_workers_that_cannot_start_are_started_less_and_less_often(served: Served, tmp_path: Path) -> None:
    """A program that ends its process at import leaves the server ready for others, and not busy with it."""
    (tmp_path / "fatal.py").write_text(
        "import os, dspy\nif os.environ.get('FATAL'):\n    os._exit(3)\nfatal = dspy.ChainOfThought('a -> b')\n"
    )
    other = tmp_path / "configs"
    shutil.copytree(served.configs, other)
    path = other / "programs" / "asker" / "manifest.json"
    path.write_text(path.read_text().replace("stories:asker", "fatal:fatal"))
    search = f"{APPS}:{tmp_path}"
    server = ProgramServer(served, "--workers=1", f"--configs={other}", PYTHONPATH=search, FATAL="1")
    try:
        wait_until(lambda: len(server.events("worker died")) >= 3, 60, server.said)
        first, second, third = (datetime.fromisoformat(one["time"]) for one in server.events("worker died")[:3])
        assert (second - first).total_seconds() >= 0.5
        assert (third - second).total_seconds() >= 1.0
        wait_until(lambda: server.get("/ready").status_code == 200, 60, server.said)
        programs = server.get("/ready").json()["programs"]
        reasons = {name: entry["cannot_run"] for name, entry in programs.items()}
        assert reasons.pop("asker/v1") == "its worker ended while it loaded the program (exit code 3)."
        assert set(reasons.values()) == {""}
    finally:
        server.__exit__()


def test_the_gateway_is_killed_under_eight_runs(parts: Parts, scripted: ScriptedUpstream) -> None:
    """A stage whose answer may have been lost is not asked for again; a stage that was never sent waits."""
    scripted.script = delayed(0.7)
    gateway = int(subprocess.check_output(["pgrep", "-P", str(parts.gateway.pid), "-f", "t0dspy.stack.gateway"]))

    def call(at: int) -> httpx.Response:
        time.sleep(0.1 * at)
        return parts.server.run("tales/v1", arguments={"topic": f"killed {at}."})

    def restart() -> None:
        wait_until(lambda: len(scripted.requests) >= 4)
        os.kill(gateway, signal.SIGKILL)
        parts.gateway.wait(30)
        assert parts.gateway.stdout is not None
        parts.gateway.stdout.close()
        parts.gateway = parts.start()

    restarting = threading.Thread(target=restart)
    restarting.start()
    responses = at_once([lambda at=at: call(at) for at in range(8)])
    restarting.join()
    for response in responses:
        assert response.status_code == 200 or "was lost before it answered" in failure(response)[2], response.text
    assert_answered_once(parts.served, "killed")


def assert_answered_once(served: Served, topic: str) -> None:
    """No stage of a run about a topic has two rows; runs of other tests may, because they ask again on purpose."""
    rows = served.rows(
        "SELECT max(times) FROM (SELECT count() AS times FROM ChatInference"
        f" WHERE function_name LIKE 'tales\\_\\_%' AND input LIKE '%{topic}%' GROUP BY episode_id, function_name)"
    )
    assert rows == [["1"]]


def test_a_gateway_that_stays_away(served: Served) -> None:
    """A stage waits until the run's deadline, then the run fails clearly, once."""
    url = f"http://127.0.0.1:{free_port()}"
    with ProgramServer(served, "--workers=1", gateway_url=url) as server:
        started = time.monotonic()
        status, kind, text = failure(server.run(NAUGHTY, arguments={"topic": "ok"}))
    assert time.monotonic() - started > 5
    assert (status, kind) == (502, "stage_failed")
    assert "waiting for the gateway: no gateway answers at" in text
