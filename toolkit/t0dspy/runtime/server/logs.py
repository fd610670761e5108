"""Write the server's log: one JSON object per line on stderr, with run ids and without user data."""

import json
import logging
import os
import sys
import threading
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal

Level = Literal["info", "warning", "error"]


def log(level: Level, event: str, **fields: Any) -> None:
    """Write one line to stderr, in a single write so that lines of several processes do not mix."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = json.dumps({"time": now, "level": level, "event": event, "pid": os.getpid(), **fields}, ensure_ascii=False)
    with suppress(OSError):  # the server keeps serving even if the reader of its log is gone
        os.write(2, line.encode("utf-8", "replace") + b"\n")


def frames(error: BaseException) -> list[str]:
    """Return the traceback of `error` and its causes without their messages, which may quote the user."""
    lines: list[str] = []
    current: BaseException | None = error
    while current is not None and len(lines) < 200:
        lines.append(type(current).__qualname__)
        stack = traceback.extract_tb(current.__traceback__)
        lines += [f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in stack]
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return lines


def log_uncaught() -> None:
    """Write uncaught exceptions of all threads to this log instead of plain stderr."""

    def in_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            log("error", "uncaught exception in a thread", traceback=frames(args.exc_value))

    def in_main(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        log("error", "uncaught exception", traceback=frames(error))

    threading.excepthook, sys.excepthook = in_thread, in_main


class JsonHandler(logging.Handler):
    """Writes the log records of libraries to this log, without their arguments, which may quote the user."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record as one line."""
        error = record.exc_info[1] if record.exc_info else None
        more = {"traceback": frames(error)} if error else {}
        level: Level = "error" if record.levelno >= logging.ERROR else "warning"
        log(level, "library", logger=record.name, message=str(record.msg), **more)
