"""Deployed calls and the program server: `python -m benchmarks.runtime [--seconds N] [--runs N]`.

One stack, one run of this script, and ratios within it:

- a deployed predictor's call beside a bare httpx POST of the same body to the same gateway, and beside `dspy.LM` at
  the gateway's OpenAI route, in turns;
- 64 concurrent two-stage runs against a model that takes 1 s, beside the ideal of 32 runs a second, asked of the
  program server directly and through the gateway, and directly again with a gateway that logs nothing, so that it is
  the program server that is measured and not the database on the same cores;
- with `--runs`, the memory of the program server's processes along so many runs.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
import httpx

import t0dspy
from t0dspy.gateway import Call, input_messages
from t0dspy.testing import RecordedRequest, Reply, ScriptedUpstream

CLIENTS = 64
KEY = "benchmark"
CONFIG = """
[gateway.observability]
enabled = true
async_writes = false
[models.m]
routing = ["p"]
[models.m.providers.p]
type = "openai"
model_name = "scripted"
api_base = "{url}"
api_key_location = "none"
"""
APP = """
import dspy

class Stories(dspy.Module):
    def __init__(self):
        super().__init__()
        self.plan = dspy.Predict("topic: str -> outline: str")
        self.write = dspy.Predict("outline: str -> text: str")

    def forward(self, topic: str):
        return self.write(outline=self.plan(topic=topic).outline)

stories = Stories()
question = dspy.Predict("question: str -> answer: str")
"""
ANSWER = "".join(f"[[ ## {name} ## ]]\nx\n\n" for name in ("outline", "text", "answer")) + "[[ ## completed ## ]]"


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=textwrap.dedent(__doc__ or ""))
    parser.add_argument("--calls", type=int, default=300, help="calls of each kind")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each throughput measurement")
    parser.add_argument("--runs", type=int, default=0, help="runs to watch the memory over")
    parser.add_argument("--upstream", help=argparse.SUPPRESS)
    parser.add_argument("--gateway", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.upstream:
        serve_model(float(args.upstream))
        return
    if args.gateway:
        serve_gateway(args.gateway)
        return
    with tempfile.TemporaryDirectory(prefix="t0dspy-benchmark-") as place:
        os.chdir(place)
        sys.path.insert(0, place)
        measure(Path(place), args)


def measure(place: Path, args: argparse.Namespace) -> None:
    fast, slow = Model(0.0), Model(1.0)
    (place / "app.py").write_text(APP)
    try:
        compare(place, fast.url, slow.url, args)
    finally:
        fast.stop()
        slow.stop()


def compare(place: Path, fast: str, slow: str, args: argparse.Namespace) -> None:
    """Every measurement, with the models at `fast` and `slow`."""
    stack = Stack(place, fast)
    try:
        print("calls, logged to ClickHouse on this machine:")
        calls(stack.url, args.calls)
    finally:
        stack.stop()
    unlogged = Unlogged(place, fast)
    try:
        print("calls, nothing logged:")
        calls(unlogged.gateway_url, args.calls)
        if args.runs:
            memory(unlogged, args.runs)
    finally:
        unlogged.stop()
    stack = Stack(place, slow)
    try:
        throughput(stack, "asked directly", stack.direct, args.seconds)
        throughput(stack, "through the gateway", stack.through, args.seconds)
    finally:
        stack.stop()
    unlogged = Unlogged(place, slow)
    try:
        throughput(unlogged, "nothing logged", unlogged.direct, args.seconds)
    finally:
        unlogged.stop()


def calls(url: str, count: int) -> None:
    """The median time of one call, several ways.

    A pinned call's row carries a tag, which TensorZero stores in two tables more. Stock DSPy can ask for a tag too, but
    sends what is so far from OpenAI's own parameters through LiteLLM, so that comes last, in turns of its own.
    """
    deployed = t0dspy.deploy(dspy.Predict("question: str -> answer: str"), "question", gateway_url=url)
    body = Call("question", input_messages({"question": "why?"}, 0), variant="v1").body()
    http = httpx.Client(trust_env=False, timeout=60)
    ways: dict[str, Callable[[], Any]] = {
        "bare httpx POST": lambda: http.post(f"{url}/inference", json=body).raise_for_status(),
        "deployed predictor": lambda: deployed(question="why?"),
    }
    in_turns({**ways, "dspy.LM, OpenAI route": by_lm(url)}, count)
    in_turns({**ways, "dspy.LM with a tag": by_lm(url, extra_body={"tensorzero::tags": {"version": "v1"}})}, count)


def by_lm(url: str, **kwargs: Any) -> Callable[[], Any]:
    """A stock predictor's call of the gateway's OpenAI route."""
    route = {"api_base": f"{url}/openai/v1", "api_key": "none"}
    lm = dspy.LM("openai/tensorzero::model_name::m", cache=False, num_retries=0, **route, **kwargs)
    stock = dspy.Predict("question: str -> answer: str")

    def call() -> None:
        with dspy.context(lm=lm, adapter=dspy.ChatAdapter()):
            stock(question="why?")

    return call


def in_turns(ways: dict[str, Callable[[], Any]], count: int) -> None:
    """Print the median time of each, after ten calls to warm up, beside the first one's."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    work = dict.fromkeys(ways, 0.0)
    for at in range(count + 10):
        for name, way in ways.items():
            began, processor = time.perf_counter(), time.process_time()
            way()
            if at >= 10:
                times[name].append(time.perf_counter() - began)
                work[name] += (time.process_time() - processor) / count
    medians = {name: statistics.median(one) for name, one in times.items()}
    for name, seconds in medians.items():
        ratio = seconds / medians["bare httpx POST"]
        print(f"{name:24} {seconds * 1000:7.2f} ms   {ratio:5.2f}x   own processor time {work[name] * 1000:5.2f} ms")


def throughput(stack: "Stack | Unlogged", what: str, call: Callable[[httpx.Client], None], seconds: float) -> None:
    """Runs a second with 64 callers, beside the ideal."""
    done, stop = [], time.monotonic() + seconds + 4

    def caller() -> None:
        with httpx.Client(trust_env=False, timeout=120) as http:
            while time.monotonic() < stop:
                call(http)
                done.append(time.monotonic())

    threads = [threading.Thread(target=caller) for _ in range(CLIENTS)]
    used = stack.processor_seconds()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = {part: seconds - used[part] for part, seconds in stack.processor_seconds().items()}
    counted = [at for at in done if stop - seconds <= at < stop]  # the first 4 s warm up
    rate, ideal = len(counted) / seconds, CLIENTS / 2
    print(f"64 runs at once, {what:20} {rate:5.1f} runs/s of {ideal:.0f} ideal: {rate / ideal:4.0%}")
    each = ", ".join(f"{part} {seconds / max(1, len(done)) * 1000:.1f} ms" for part, seconds in spent.items())
    print(f"  processor time a run: {each}")


def memory(stack: "Unlogged", runs: int) -> None:
    """Resident memory of the program server's processes, at a tenth of the runs and at the end."""
    left = iter(range(runs))
    seen: dict[int, int] = {}
    lock = threading.Lock()

    def caller() -> None:
        with httpx.Client(trust_env=False, timeout=120) as http:
            while True:
                with lock:
                    at = next(left, None)
                    if at is not None and (at == runs // 10 or at % max(1, runs // 4) == 0):
                        seen[at] = resident(stack.programs.pid)
                if at is None:
                    return
                stack.direct(http)

    threads = [threading.Thread(target=caller) for _ in range(16)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen[runs] = resident(stack.programs.pid)
    print(f"{runs} runs in {time.monotonic() - began:.0f} s; memory of the program server's processes:")
    for at, kilobytes in sorted(seen.items()):
        print(f"  after {at:6} runs {kilobytes / 1024:7.1f} MB")


def resident(pid: int) -> int:
    """Kilobytes of a process and its children."""
    texts = [Path(f"/proc/{one}/status").read_text() for one in family(pid)]
    return sum(int(text.partition("VmRSS:")[2].split()[0]) for text in texts)


def family(pid: int) -> list[int]:
    """A process and its children."""
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Model:
    """A scripted model in a process of its own."""

    def __init__(self, delay: float) -> None:
        command = [sys.executable, "-m", "benchmarks.runtime", "--upstream", str(delay)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def serve_model(delay: float) -> None:
    """Answer every request with all fields, after `delay` seconds."""

    def script(request: RecordedRequest) -> Reply:
        upstream.requests.clear()
        return Reply(ANSWER, delay=delay)

    with ScriptedUpstream(script) as upstream:
        print(upstream.url, flush=True)
        threading.Event().wait()


def serve_gateway(configs: str) -> None:
    """The embedded gateway without a database, on a free port."""
    import asyncio

    import tensorzero
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route
    from tensorzero import AsyncTensorZeroGateway

    async def serve() -> None:
        build: Any = AsyncTensorZeroGateway.build_embedded
        client = await build(config_file=f"{configs}/**/*.toml", clickhouse_url=None)

        async def inference(request: Request) -> JSONResponse:
            answer = await client.inference(**json.loads(await request.body()))
            blocks = [{"type": "text", "text": block.text} for block in answer.content]
            ids = {"inference_id": str(answer.inference_id), "episode_id": str(answer.episode_id)}
            return JSONResponse({**ids, "variant_name": answer.variant_name, "content": blocks, "usage": {}})

        start: Any = vars(tensorzero)["_start_http_gateway"]
        files = {
            "config_file": f"{configs}/**/*.toml",
            "clickhouse_url": None,
            "postgres_url": None,
            "valkey_url": None,
        }
        native = await start(**files, async_setup=True)
        relay = httpx.AsyncClient(trust_env=False, timeout=60)

        async def openai(request: Request) -> Response:  # as the embedded stack does it
            url = f"{str(native.base_url).removesuffix('/')}/chat/completions"
            answer = await relay.post(url, content=await request.body(), headers={"content-type": "application/json"})
            return Response(answer.content, answer.status_code, media_type="application/json")

        routes = [Route("/inference", inference, methods=["POST"])]
        app = Starlette(routes=[*routes, Route("/openai/v1/chat/completions", openai, methods=["POST"])])
        opened = socket.create_server(("127.0.0.1", 0))
        # from its descriptor, so that it knows its protocol: without it asyncio leaves Nagle's algorithm on, for 40 ms
        bound = socket.socket(fileno=opened.detach())
        print(f"http://127.0.0.1:{bound.getsockname()[1]}", flush=True)
        await uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False)).serve(sockets=[bound])

    asyncio.run(serve())


class Unlogged:
    """The program server, and a gateway without a database."""

    def __init__(self, place: Path, model: str) -> None:
        write_configs(place, model, observed=False)
        command = [sys.executable, "-m", "benchmarks.runtime", "--gateway", str(place / "configs")]
        env = {**os.environ, "T0DSPY_PROGRAMS_KEY": KEY, "PYTHONPATH": str(place), "RUST_LOG": "off"}
        here = Path(__file__).parent.parent
        self.gateway = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env, cwd=here)
        assert self.gateway.stdout is not None
        self.gateway_url = self.gateway.stdout.readline().strip()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        command = [_command(), "serve", f"--port={port}", f"--gateway-url={self.gateway_url}"]
        with (place / "serve.log").open("w") as log:
            self.programs = subprocess.Popen(command, stderr=log, env=env, cwd=place)
        while not ready(self.url):
            time.sleep(0.1)

    def direct(self, http: httpx.Client) -> None:
        """One run."""
        ask(http, self.url)

    def processor_seconds(self) -> dict[str, float]:
        """Processor time that each part has used."""
        pids = {"gateway": self.gateway.pid, "programs": self.programs.pid}
        return {part: sum(map(_processor_seconds, family(pid))) for part, pid in pids.items()}

    def stop(self) -> None:
        for process in (self.programs, self.gateway):
            process.terminate()
            process.wait()


def ready(url: str) -> bool:
    """Whether the program server takes runs."""
    try:
        return httpx.get(f"{url}/ready", trust_env=False).status_code == 200
    except httpx.ConnectError:
        return False


def ask(http: httpx.Client, url: str) -> None:
    """One run, asked of the program server as the gateway asks it."""
    message = {"role": "user", "content": '{"topic": "cats"}'}
    body = {"model": "stories/v1", "messages": [message]}
    headers = {"Authorization": f"Bearer {KEY}"}
    http.post(f"{url}/v1/chat/completions", json=body, headers=headers).raise_for_status()


def write_configs(place: Path, model: str, *, observed: bool = True) -> None:
    """The gateway's config, and the benchmark's programs in it."""
    configs = place / "configs"
    configs.mkdir(exist_ok=True)
    text = CONFIG.format(url=model)
    (configs / "tensorzero.toml").write_text(text if observed else text.replace("enabled = true", "enabled = false"))
    for name in ("stories", "question"):
        t0dspy.export(f"app:{name}", configs, model="m", verify=False, adapter="chat")


class Stack:
    """`t0dspy up` with the benchmark's programs."""

    def __init__(self, place: Path, model: str) -> None:
        write_configs(place, model)
        ports = ("--gateway-port=0", "--clickhouse-port=0", "--programs-port=0")
        command = [_command(), "up", *ports]
        env = {**os.environ, "T0DSPY_PROGRAMS_KEY": KEY, "PYTHONPATH": str(place)}
        with (place / "log").open("w") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=env)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n", (place / "log").read_text()
        self.urls = dict(self.process.stdout.readline().split() for _ in range(3))
        self.url, self._data = self.urls["gateway"], place / ".t0dspy" / "stack"

    def direct(self, http: httpx.Client) -> None:
        """One run, without the gateway's program function."""
        ask(http, self.urls["programs"])

    def through(self, http: httpx.Client) -> None:
        """One run, as a client asks for it."""
        body = Call("stories", input_messages({"topic": "cats"}, 0)).body()
        http.post(f"{self.url}/inference", json=body).raise_for_status()

    def processor_seconds(self) -> dict[str, float]:
        """Processor time that each part has used, its children's included."""
        return {part: sum(map(_processor_seconds, family(pid))) for part, pid in self._pids().items()}

    def _pids(self) -> dict[str, int]:
        pids: dict[str, int] = json.loads((self._data / "stack.json").read_text())["pids"]
        return pids

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def _command() -> str:
    return str(Path(sys.executable).parent / "t0dspy")


if __name__ == "__main__":
    main()
