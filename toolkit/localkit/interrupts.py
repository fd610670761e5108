"""Defer Ctrl-C while code runs that it must not interrupt."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def defer() -> Iterator[None]:
    """Raise the KeyboardInterrupt of a Ctrl-C within the block only at the end of the block.

    If Ctrl-C interrupts the import of TensorZero's native module (2026.6.0), the module panics: the process prints a
    Rust message and a traceback, and `except KeyboardInterrupt` does not catch it. If Ctrl-C does not raise
    KeyboardInterrupt, this does nothing.
    """
    # Workaround (tensorzero 2026.6): Ctrl-C during the import of the native module makes it panic; remove when the
    # import raises KeyboardInterrupt.
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    received: list[int] = []
    try:
        signal.signal(signal.SIGINT, lambda number, _: received.append(number))
    except ValueError:  # not the main thread, so Ctrl-C does not raise here
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if received:
        raise KeyboardInterrupt
