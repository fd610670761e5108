"""Kills under load, stops while something hangs, and runs at once."""

import os
import random
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from chaos.accounts import Load, Promises, Row
from chaos.stacks import Ground
from support.silence import hang, silent_provider, stream
from support.stack import wait_until

VICTIMS = ("clickhouse", "gateway", "programs", "supervisor")


def kill_parts(ground: Ground, rounds: int) -> Iterator[Row]:
    """`kill -9` of one part after the other, at random moments under load."""
    promises, dice, left = Promises(), random.Random(48), 0
    with ground.stack() as stack:
        for turn in range(rounds):
            stack.start()
            pids = stack.pids()
            before = len(promises.inferences)
            with Load(stack.url, promises, clients=8):
                wait_until(lambda before=before: len(promises.inferences) > before + 5, 60)
                time.sleep(dice.uniform(0, 0.6))
                os.kill(stack.victims()[VICTIMS[turn % len(VICTIMS)]], signal.SIGKILL)
                stack.ended(60)
            left += stack.left(pids)
        stack.start()
        yield Row("kills of parts", "kills", rounds)
        yield Row("kills of parts", "processes left behind", 4 * rounds, left)
        yield from promises.audit(stack, "kills of parts")
        stack.stop()


def stop_while_hanging(ground: Ground, rounds: int) -> Iterator[Row]:
    """SIGTERM and SIGKILL in turn while a stream is silent and a statement hangs."""
    late = left = wrong_code = whole = 0
    slowest = 0.0
    with silent_provider() as silent, ground.stack("--drain=1") as stack:
        stack.flags.append(f"--address=upstream={silent}")  # the last one counts
        for turn in range(rounds):
            stack.start()
            pids = stack.pids()
            lines = [list[str]() for _ in range(4)]
            readers = [stream(stack.url + "/inference", _SILENT, events) for events in lines]
            wait_until(lambda lines=lines: all(lines), 60)
            hang(stack)
            began = time.monotonic()
            if turn % 2:
                stack.process.kill()
                stack.ended(60)
            else:
                wrong_code += stack.stop(patience=60) != 0
            left += stack.left(pids)
            slowest = max(slowest, time.monotonic() - began)
            late += time.monotonic() - began > 30
            for reader in readers:
                reader.join()
            whole += sum("data: [DONE]" in events for events in lines)
        stack.start()
        wrong_code += stack.stop() != 0
    yield Row("stops while a statement hangs", "stops and kills", rounds, late)
    yield Row("stops while a statement hangs", "processes left behind", 3 * rounds, left)
    yield Row("stops while a statement hangs", "silent streams that ended as if whole", 4 * rounds, whole)
    yield Row("stops while a statement hangs", "exit codes other than 0", rounds, wrong_code)
    yield Row("stops while a statement hangs", f"seconds, slowest of {rounds}", round(slowest))


_QUESTION = {"type": "template", "name": "user", "arguments": {"question": "why"}}
_SILENT = {
    "function_name": "question",
    "input": {"messages": [{"role": "user", "content": [_QUESTION]}]},
    "stream": True,
}


def concurrent_runs(ground: Ground, rounds: int) -> Iterator[Row]:
    """Runs of a program with two stages, all at once, each with a topic of its own; none gets another's answer."""
    crossed, answered = [], []

    def run(number: int) -> None:
        topic = f"topic-{number}-{random.Random(number).random()}"
        for _ in range(40):
            answer = stack.call("tales", {"topic": topic})
            if answer.status_code == 200:
                break
            time.sleep(0.25)  # turned away, since all workers are full
        else:
            return
        answered.append(number)
        text = answer.text
        if topic not in text or any(f"topic-{other}-" in text for other in range(rounds) if other != number):
            crossed.append(number)

    with ground.stack() as stack:
        stack.start()
        with ThreadPoolExecutor(min(rounds, 300)) as pool:
            list(pool.map(run, range(rounds)))
        stack.stop()
    yield Row("runs at once", "runs without an answer", rounds, rounds - len(answered))
    yield Row("runs at once", "crossed answers", len(answered), len(crossed))
