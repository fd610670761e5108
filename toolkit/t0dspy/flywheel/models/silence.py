"""Optimizers print and draw bars; what they say goes to a log."""

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from localkit import private


@contextlib.contextmanager
def quietly(log: Path | None) -> Iterator[None]:
    """Within, what is printed and what DSPy and its optimizers log goes to the file `log`, or nowhere."""
    with contextlib.ExitStack() as stack:
        sink: IO[str] = stack.enter_context(private.open_text(log or Path(os.devnull), "a", errors="replace"))
        handler = logging.StreamHandler(sink)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        stack.enter_context(_logging_to(handler, ("dspy", "gepa", "optuna")))
        # Workaround (dspy 3.4): optimizers print to stdout and draw progress bars; remove when they only log.
        stack.enter_context(contextlib.redirect_stdout(sink))
        stack.enter_context(contextlib.redirect_stderr(sink))
        yield


@contextlib.contextmanager
def _logging_to(handler: logging.Handler, names: Sequence[str]) -> Iterator[None]:
    loggers: list[Any] = [logging.getLogger(name) for name in names]
    before = [(one, one.handlers, one.propagate) for one in loggers]
    for one in loggers:
        one.handlers, one.propagate = [handler], False
    try:
        yield
    finally:
        for one, handlers, propagate in before:
            one.handlers, one.propagate = handlers, propagate
