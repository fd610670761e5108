"""The end of a stack is bounded: silent streams are cut, statements that hang are ended, and no process stays."""

import signal
import time
from collections.abc import Callable, Iterator

import pytest

from support.silence import hang, silent_provider, stream
from support.stack import HELLO, Stack, alive, wait_until


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a provider that begins every stream and then falls silent."""
    with silent_provider() as address:
        yield address


def test_a_stop_is_bounded(make_stack: Callable[..., Stack], silent: str) -> None:
    """SIGTERM with silent streams and a hanging statement: they are cut, which is said, and the exit code is 0."""
    stack = make_stack()
    stack.flags = ["--drain=1", f"--address=upstream={silent}"]
    stack.start()
    pids = stack.pids()
    native: list[str] = []
    openai: list[str] = []
    body = {"model": "tensorzero::function_name::talk", "messages": HELLO["messages"], "stream": True}
    threads = [
        stream(stack.url + "/inference", {"function_name": "talk", "input": HELLO, "stream": True}, native),
        stream(stack.url + "/openai/v1/chat/completions", body, openai),
    ]
    wait_until(lambda: native and openai, 60)
    hang(stack)
    began = time.monotonic()
    assert stack.stop(patience=60) == 0
    assert time.monotonic() - began < 50  # without a deadline it does not end at all
    for thread in threads:
        thread.join()
    for lines in (native, openai):
        assert not any("[DONE]" in line for line in lines), lines
        assert any("was cut" in line and '"error"' in line for line in lines)
    said = stack.said()
    assert "Finishing 2 requests in flight, for at most 1 s; Ctrl-C again stops at once." in said
    assert "Cut 2 requests that had not ended 1 s after the stop" in said
    assert "a statement did not end in time and was cut." in said
    assert "Traceback" not in said
    assert not any(alive(pid) for pid in pids.values())


def test_a_killed_supervisor_leaves_no_process_that_hangs(make_stack: Callable[..., Stack]) -> None:
    """`kill -9` of the command, also during its drain, while a statement hangs in the engine."""
    stack = make_stack().start()
    for draining in (False, True):
        pids = stack.pids()
        hang(stack)
        if draining:
            stack.process.send_signal(signal.SIGTERM)
        stack.process.kill()
        stack.ended()
        wait_until(lambda pids=pids: not any(alive(pid) for pid in pids.values()), 15)
        stack.start()
    assert stack.infer().status_code == 200
