"""Inferences through the stack beside the embedded client in process: `python -m benchmarks.stack [--load N]`.

Both sides use the same ClickHouse and the same scripted model, in the same run, one after the other; what counts is the
ratio. The load at the end (20,000 inferences and 10,000 feedbacks by default) is checked row by row, and the memory of
the processes is read along the way.
"""

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

os.environ["RUST_LOG"] = "off"

import httpx
from tensorzero import TensorZeroGateway

from benchmarks.up import BASE, GOOD, up
from t0dspy.stack.processes.data_dir import Running
from t0dspy.testing import ScriptedUpstream

SECONDS = 6.0
CLIENTS = (1, 16, 64)
INPUT = {"messages": [{"role": "user", "content": "hello"}]}
CONFIG = (
    BASE
    + GOOD
    + """
[functions.talk]
type = "chat"
[functions.talk.variants.v1]
type = "chat_completion"
model = "m"
"""
)

Call = Callable[[], Any]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--load", type=int, default=20_000, help="inferences in the load; half as many feedbacks")
    load = parser.parse_args().load
    with tempfile.TemporaryDirectory() as scratch, ScriptedUpstream("fine") as upstream:
        configs = Path(scratch) / "configs"
        configs.mkdir()
        (configs / "tensorzero.toml").write_text(CONFIG.format(url=upstream.url))
        with up(configs, Path(scratch) / "data") as stack:
            _compare(stack, configs)
            _load(stack, load)


def _compare(stack: Running, configs: Path) -> None:
    database = f"{stack.urls['clickhouse']}/tensorzero"
    embedded: Any = TensorZeroGateway.build_embedded(config_file=f"{configs}/*.toml", clickhouse_url=database)
    print("| inferences, clients | embedded, in process | through the stack | ratio |\n|---|---|---|---|", flush=True)
    for clients in CLIENTS:
        inside = _rate(lambda: lambda: embedded.inference(function_name="talk", input=INPUT), clients)
        outside = _rate(lambda: _http_inference(stack.urls["gateway"]), clients)
        print(f"| {clients} | {inside:,.1f} /s | {outside:,.1f} /s | {outside / inside:.2f} |", flush=True)


def _http_inference(url: str) -> Call:
    http = httpx.Client(base_url=url, trust_env=False, timeout=120)
    return lambda: _ok(http.post("/inference", json={"function_name": "talk", "input": INPUT}))["inference_id"]


def _ok(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def _rate(connect: Callable[[], Call], clients: int) -> float:
    """Calls a second, by so many clients, each with a connection of its own."""

    def work(until: float) -> int:
        call, done = connect(), 0
        while time.perf_counter() < until:
            call()
            done += 1
        return done

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        done = sum(pool.map(work, [began + SECONDS] * clients))
    return done / (time.perf_counter() - began)


def _load(stack: Running, inferences: int) -> None:
    numbers, lock = count(1), threading.Lock()
    memory: list[tuple[int, dict[str, float]]] = []
    seen: tuple[list[str], list[str]] = ([], [])

    def work(_: int) -> None:
        infer, feedback = (
            _http_inference(stack.urls["gateway"]),
            httpx.Client(base_url=stack.urls["gateway"], timeout=120),
        )
        while (number := next(numbers)) <= inferences:
            id = infer()
            seen[0].append(id)
            if number % 2:
                body = {"metric_name": "good", "value": True, "inference_id": id}
                seen[1].append(_ok(feedback.post("/feedback", json=body))["feedback_id"])
            if number % max(inferences // 10, 1) == 0:
                with lock:
                    memory.append((number, {part: _megabytes(pid) for part, pid in stack.pids.items()}))

    began = time.perf_counter()
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(work, range(32)))
    took = time.perf_counter() - began
    stored = [
        _missing(stack, table, ids) for table, ids in zip(("ChatInference", "BooleanMetricFeedback"), seen, strict=True)
    ]
    print(f"\n{len(seen[0]):,} inferences and {len(seen[1]):,} feedbacks by 32 clients in {took:,.0f} s;", end=" ")
    print(f"not stored: {sum(stored)}\n")
    print("| inferences so far | " + " | ".join(f"{part}, MB" for part in stack.pids) + " |")
    print("|---|" + "---|" * len(stack.pids))
    for number, megabytes in sorted(memory):
        print(f"| {number:,} | " + " | ".join(f"{size:,.0f}" for size in megabytes.values()) + " |")


def _missing(stack: Running, table: str, ids: list[str]) -> int:
    query = f"SELECT toString(id) FROM {table} FORMAT TabSeparated"
    answer = httpx.post(f"{stack.urls['clickhouse']}/tensorzero", content=query, timeout=120)
    return len(set(ids) - set(answer.text.split()))


def _megabytes(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
