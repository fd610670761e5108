"""Ctrl-C at a moment when it must wait."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def deferred() -> Iterator[None]:
    """Raise KeyboardInterrupt for a Ctrl-C within the block at its end, and not in the middle.

    A native module whose import is interrupted panics (tensorzero 2026.6.0): the process prints a Rust message and a
    traceback, and `except KeyboardInterrupt` does not see it. Where Ctrl-C does not raise, nothing is changed.
    """
    # Workaround (tensorzero 2026.6): Ctrl-C during the import of the native module makes it panic; remove when the
    # import raises KeyboardInterrupt.
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    asked: list[int] = []
    try:
        signal.signal(signal.SIGINT, lambda number, _: asked.append(number))
    except ValueError:  # another thread than the main one, where Ctrl-C does not raise
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if asked:
        raise KeyboardInterrupt
