"""Ctrl-C while a native module is imported."""

import signal
import threading

import pytest

from localkit import interrupts


def test_an_interrupt_waits_for_the_end_of_the_block() -> None:
    """What the block does is done as a whole, and the interrupt is raised after it, once."""
    before, done = signal.getsignal(signal.SIGINT), list[str]()

    def work() -> None:
        with interrupts.defer():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            done.append("all of it")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["all of it"]
    assert signal.getsignal(signal.SIGINT) is before


def test_an_error_of_the_block_is_raised_as_it_is() -> None:
    """The handler is back after an error too."""
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError), interrupts.defer():
        _ = 1 / 0
    assert signal.getsignal(signal.SIGINT) is before


def test_another_thread_and_another_handler_stay_as_they_are() -> None:
    """Only the main thread with Python's own handler gets a KeyboardInterrupt at all."""
    seen: list[object] = []

    def enter() -> None:
        with interrupts.defer():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        enter()
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [before, signal.SIG_IGN]
