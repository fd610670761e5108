"""Keep stdout for results by sending output that native code writes to file descriptor 1 to stderr."""

import io
import os
import sys


def keep_stdout_for_results() -> None:
    """Point file descriptor 1 at stderr, and `sys.stdout` at a copy of the original, for the rest of the process.

    The embedded gateway logs to file descriptor 1 (tensorzero 2026.6.0, if RUST_LOG is set), in its own threads and
    until the process ends. Child processes inherit the descriptor, so their output also goes to stderr. A `sys.stdout`
    that is not file descriptor 1, such as pytest's capture, is left alone.
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
    """Open the null device for a closed stdout or stderr, because the next opened file would get its descriptor."""
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
    """Open the null device as the closed `descriptor`."""
    null = os.open(os.devnull, os.O_WRONLY)
    if null != descriptor:
        os.dup2(null, descriptor)
        os.close(null)
