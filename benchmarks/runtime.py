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
import os
import statistics
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
from benchmarks.model import model
from benchmarks.stories import Served, logged, unlogged
from benchmarks.up import resident
from t0dspy.gateway import Call, input_messages

CLIENTS = 64


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=textwrap.dedent(__doc__ or ""))
    parser.add_argument("--calls", type=int, default=300, help="calls of each kind")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each throughput measurement")
    parser.add_argument("--runs", type=int, default=0, help="runs to watch the memory over")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="t0dspy-benchmark-") as place, model(0.0) as fast, model(1.0) as slow:
        os.chdir(place)
        sys.path.insert(0, place)
        compare(Path(place), fast, slow, args)


def compare(place: Path, fast: str, slow: str, args: argparse.Namespace) -> None:
    """Every measurement, with the models at `fast` and `slow`."""
    with logged(place, fast) as served:
        print("calls, logged to ClickHouse on this machine:")
        calls(served.gateway, args.calls)
    with unlogged(place, fast) as served:
        print("calls, nothing logged:")
        calls(served.gateway, args.calls)
        if args.runs:
            memory(served, args.runs)
    with logged(place, slow) as served:
        throughput(served, "asked directly", served.run, args.seconds)
        throughput(served, "through the gateway", through(served.gateway), args.seconds)
    with unlogged(place, slow) as served:
        throughput(served, "nothing logged", served.run, args.seconds)


def through(gateway: str) -> Callable[[httpx.Client], object]:
    """One run, as a client asks the gateway for it."""
    body = Call("stories", input_messages({"topic": "cats"}, 0)).body()
    return lambda http: http.post(f"{gateway}/inference", json=body).raise_for_status()


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
    route: Any = {"api_base": f"{url}/openai/v1", "api_key": "none"}
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


def throughput(served: Served, what: str, call: Callable[[httpx.Client], object], seconds: float) -> None:
    """Runs a second with 64 callers, beside the ideal."""
    done, stop = [], time.monotonic() + seconds + 4

    def caller() -> None:
        with httpx.Client(trust_env=False, timeout=120) as http:
            while time.monotonic() < stop:
                call(http)
                done.append(time.monotonic())

    threads = [threading.Thread(target=caller) for _ in range(CLIENTS)]
    used = served.used()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = {part: seconds - used[part] for part, seconds in served.used().items()}
    counted = [at for at in done if stop - seconds <= at < stop]  # the first 4 s warm up
    rate, ideal = len(counted) / seconds, CLIENTS / 2
    print(f"64 runs at once, {what:20} {rate:5.1f} runs/s of {ideal:.0f} ideal: {rate / ideal:4.0%}")
    each = ", ".join(f"{part} {seconds / max(1, len(done)) * 1000:.1f} ms" for part, seconds in spent.items())
    print(f"  processor time a run: {each}")


def memory(served: Served, runs: int) -> None:
    """Resident memory of the program server's processes, at a tenth of the runs and at the end."""
    left = iter(range(runs))
    seen: dict[int, float] = {}
    lock = threading.Lock()

    def caller() -> None:
        with httpx.Client(trust_env=False, timeout=120) as http:
            while True:
                with lock:
                    at = next(left, None)
                    if at is not None and (at == runs // 10 or at % max(1, runs // 4) == 0):
                        seen[at] = resident(served.pids()["programs"])
                if at is None:
                    return
                served.run(http)

    threads = [threading.Thread(target=caller) for _ in range(16)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen[runs] = resident(served.pids()["programs"])
    print(f"{runs} runs in {time.monotonic() - began:.0f} s; memory of the program server's processes:")
    for at, megabytes in sorted(seen.items()):
        print(f"  after {at:6} runs {megabytes:7.1f} MB")


if __name__ == "__main__":
    main()
