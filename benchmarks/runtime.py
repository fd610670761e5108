"""Deployed calls and the program server: `python -m benchmarks.runtime [--seconds N] [--runs N]`.

One stack, one run of this script, and ratios within it:

- a deployed predictor's call beside a bare httpx POST of the same body to the same gateway, and beside `dspy.LM` at
  the gateway's OpenAI route, in turns, with a rest between two calls;
- 64 concurrent two-stage runs against a model that takes 1 s, beside the ideal of 32 runs a second, asked of the
  program server directly and through the gateway, and directly again with a gateway that logs nothing, so that it is
  the program server that is measured and not the database on the same cores;
- with `--runs`, the memory of the program server's processes along so many runs.
"""

import argparse
import os
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from benchmarks.calls import calls
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


def throughput(served: Served, label: str, call: Callable[[httpx.Client], object], seconds: float) -> None:
    """Print the runs per second with 64 callers, and the ideal rate."""
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
    counted = [time_done for time_done in done if stop - seconds <= time_done < stop]  # the first 4 s warm up
    rate, ideal = len(counted) / seconds, CLIENTS / 2
    print(f"64 runs at once, {label:20} {rate:5.1f} runs/s of {ideal:.0f} ideal: {rate / ideal:4.0%}")
    each = ", ".join(f"{part} {seconds / max(1, len(done)) * 1000:.1f} ms" for part, seconds in spent.items())
    print(f"  processor time a run: {each}")


def memory(served: Served, runs: int) -> None:
    """Print the memory of the program server's processes at a tenth of the runs and at the end."""
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
