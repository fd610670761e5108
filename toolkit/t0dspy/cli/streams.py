"""Keep stdout for results: what native code writes to file descriptor 1 goes to stderr instead."""

import io
import os
import sys


def keep_stdout_for_results() -> None:
    """Point file descriptor 1 at stderr, and `sys.stdout` at a copy of what it was, for the rest of the process.

    The embedded gateway logs to file descriptor 1 (tensorzero 2026.6.0, with RUST_LOG set), in threads of its own and
    until the process has ended. Processes that are started inherit the descriptor, so what they print is not a result
    either. A `sys.stdout` that is not file descriptor 1, as under a test's capture, stays as it is.
    """
    _open_closed_streams()
    stream = sys.stdout
    if not isinstance(stream, io.TextIOWrapper) or not _is_descriptor_1(stream):
        return
    stream.flush()
    sys.stdout = io.TextIOWrapper(
        os.fdopen(os.dup(1), "wb", 0 if stream.write_through else -1),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
    # Workaround (tensorzero 2026.6): the embedded gateway logs to file descriptor 1 from its own threads; remove when
    # it logs to stderr. See tensorzero/tensorzero#1836.
    os.dup2(2, 1)


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
