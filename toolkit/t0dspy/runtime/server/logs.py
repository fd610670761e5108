"""The server's log: a JSON object a line on stderr, with run ids and without anything that a user wrote."""

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
    """Write one line; one write, so that lines of several processes do not mix."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = json.dumps({"time": now, "level": level, "event": event, "pid": os.getpid(), **fields}, ensure_ascii=False)
    with suppress(OSError):  # nobody reads the log any more, which is no reason to stop serving
        os.write(2, line.encode("utf-8", "replace") + b"\n")


def frames(error: BaseException) -> list[str]:
    """Where `error` and what caused it came from, outermost first. Messages stay out: they may quote the user."""
    lines: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(lines) < 200:
        lines.append(type(seen).__qualname__)
        lines += [f"  {one.filename}:{one.lineno} in {one.name}" for one in traceback.extract_tb(seen.__traceback__)]
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return lines


def log_uncaught() -> None:
    """Send what no code catches, in any thread, to this log in place of stderr."""

    def in_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            log("error", "uncaught exception in a thread", traceback=frames(args.exc_value))

    def in_main(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
        log("error", "uncaught exception", traceback=frames(error))

    threading.excepthook, sys.excepthook = in_thread, in_main


class JsonHandler(logging.Handler):
    """What libraries log, as lines of this log; a message's arguments stay out."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record as one line."""
        error = record.exc_info[1] if record.exc_info else None
        more = {"traceback": frames(error)} if error else {}
        level: Level = "error" if record.levelno >= logging.ERROR else "warning"
        log(level, "library", logger=record.name, message=str(record.msg), **more)
