"""Keep stdout for results: what native code writes to file descriptor 1 goes to stderr instead."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def stdout_for_results() -> Iterator[None]:
    """Point file descriptor 1 at stderr, and `sys.stdout` at a copy of what it was, until the end of the block.

    The embedded gateway logs to file descriptor 1 (tensorzero 2026.6.0, with RUST_LOG set), in threads of its own and
    whenever it likes. Processes that are started inherit the descriptor, so what they print is not a result either.
    A `sys.stdout` that is not file descriptor 1, as under a test's capture, stays as it is.
    """
    _open_closed_streams()
    stream = sys.stdout
    if not isinstance(stream, io.TextIOWrapper) or not _is_descriptor_1(stream):
        yield
        return
    stream.flush()
    results = os.dup(1)
    buffer = os.fdopen(results, "wb", 0 if stream.write_through else -1)
    sys.stdout = io.TextIOWrapper(
        buffer,
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
    os.dup2(2, 1)
    try:
        yield
    finally:
        with suppress(OSError, ValueError):  # a reader that went away
            sys.stdout.flush()
        os.dup2(results, 1)
        sys.stdout = stream


def _open_closed_streams() -> None:
    """Give a closed stdout or stderr the null device, or the next file that is opened would take its descriptor."""
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            _occupy(descriptor)
            setattr(sys, name, os.fdopen(descriptor, "w", encoding="utf-8", errors="replace", closefd=False))


def _is_descriptor_1(stream: io.TextIOWrapper) -> bool:
    try:
        return stream.fileno() == 1
    except (OSError, ValueError):
        return False


def _occupy(descriptor: int) -> None:
    """Make the closed `descriptor` the null device."""
    null = os.open(os.devnull, os.O_WRONLY)
    if null != descriptor:
        os.dup2(null, descriptor)
        os.close(null)
