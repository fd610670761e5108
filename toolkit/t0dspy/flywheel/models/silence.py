"""Redirect the output of optimizers, which print and draw progress bars, to a log."""

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from localkit import private


@contextlib.contextmanager
def redirect_output(log: Path | None) -> Iterator[None]:
    """Redirect printed text and the logs of DSPy and its optimizers to the file `log`, or discard them."""
    with contextlib.ExitStack() as stack:
        sink: IO[str] = stack.enter_context(private.open_text(log or Path(os.devnull), "a", errors="replace"))
        handler = logging.StreamHandler(sink)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        stack.enter_context(_redirect_logging(handler, ("dspy", "gepa", "optuna")))
        # Workaround (dspy 3.4): optimizers print to stdout and draw progress bars; remove when they only log.
        stack.enter_context(contextlib.redirect_stdout(sink))
        stack.enter_context(contextlib.redirect_stderr(sink))
        yield


@contextlib.contextmanager
def _redirect_logging(handler: logging.Handler, names: Sequence[str]) -> Iterator[None]:
    loggers: list[Any] = [logging.getLogger(name) for name in names]
    before = [(logger, logger.handlers, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [handler], False
    try:
        yield
    finally:
        for logger, handlers, propagate in before:
            logger.handlers, logger.propagate = handlers, propagate
