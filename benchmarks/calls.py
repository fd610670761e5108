"""One call at a time: a deployed predictor beside a bare POST, and beside stock DSPy at the gateway's OpenAI route."""

import random
import time
from collections.abc import Callable
from typing import Any

import dspy
import httpx
import numpy
from scipy.stats import bootstrap

import t0dspy
from benchmarks.stories import PLAIN
from t0dspy.gateway import Call, input_messages

REST = 0.06
"""Seconds between two calls."""
_WARM_UP = 10
Way = Callable[[], Any]


def calls(url: str, count: int) -> None:
    """Print the median time of each kind of call, and how much longer a deployed one takes than stock DSPy's.

    Stock DSPy can name a function and a version too, as a deployed call does; then the database stores the same rows.
    A bare model's rows say of no version, and are two fewer: a version that was named is a tag, which has two tables.
    """
    deployed = t0dspy.deploy(dspy.Predict("question: str -> answer: str"), "question", gateway_url=url)
    body = Call("question", input_messages({"question": "why?"}, 0), variant="v1").body()
    http = httpx.Client(trust_env=False, timeout=60)
    ways: dict[str, Way] = {
        "bare httpx POST": lambda: http.post(f"{url}/inference", json=body).raise_for_status(),
        "deployed predictor": lambda: deployed(question="why?"),
        "dspy.LM, same rows": by_lm(url, f"function_name::{PLAIN}", extra_body={"tensorzero::variant_name": "v1"}),
        "dspy.LM, a bare model": by_lm(url, "model_name::m"),
    }
    _, (_, ours), *stock = in_turns(ways, count).items()
    for name, times in stock:
        print(f"  deployed less {name}: {difference(ours, times)}")


def by_lm(url: str, model: str, **options: Any) -> Way:
    """A stock predictor's call of the gateway's OpenAI route."""
    route: Any = {"api_base": f"{url}/openai/v1", "api_key": "none"}
    lm = dspy.LM(f"openai/tensorzero::{model}", cache=False, num_retries=0, **route, **options)
    stock = dspy.Predict("question: str -> answer: str")

    def call() -> None:
        with dspy.context(lm=lm, adapter=dspy.ChatAdapter()):
            stock(question="why?")

    return call


def in_turns(ways: dict[str, Way], count: int) -> dict[str, Any]:
    """Return the milliseconds of each way's calls per round, and print their medians relative to the first way's.

    The order changes from round to round. Each call waits until the database has done the work that it defers until
    after
    its answer. Otherwise a call would include work of the previous one, and a client's own work would seem free.
    """
    times = {name: numpy.zeros(count) for name in ways}
    work = dict.fromkeys(ways, 0.0)
    for number in range(-_WARM_UP, count):
        for name in random.sample(list(ways), len(ways)):
            time.sleep(REST)
            began, processor = time.perf_counter(), time.process_time()
            ways[name]()
            if number >= 0:
                times[name][number] = (time.perf_counter() - began) * 1000
                work[name] += (time.process_time() - processor) * 1000 / count
    medians = {name: float(numpy.median(durations)) for name, durations in times.items()}
    first = next(iter(medians.values()))
    for name, median in medians.items():
        print(f"{name:22} {median:7.2f} ms   {median / first:5.2f}x   own processor time {work[name]:5.2f} ms")
    return times


def difference(first: Any, second: Any) -> str:
    """Return the median difference between two ways in the same round, with its 95% interval."""
    rounds = first - second
    sure = bootstrap((rounds,), numpy.median, n_resamples=2000).confidence_interval
    return f"{numpy.median(rounds):+.2f} ms (95%: {sure.low:+.2f} to {sure.high:+.2f})"
