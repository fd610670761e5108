"""Run tools and retrievers once and replay their results, so that a second run of a program has no side effects."""

import copy
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import dspy

from t0dspy.parity.outcome import printed


@dataclass
class _Recorded:
    result: Any = None
    error: Exception | None = None
    calls_lm: bool = False
    """Whether the tool calls an LM: such a tool runs again each time, because its requests are compared as well."""

    def replay(self) -> Any:
        if self.error is not None:
            raise self.error.with_traceback(None)
        return _copied(self.result)


_OPEN: ContextVar[tuple[_Recorded, ...]] = ContextVar("open", default=())


class Recordings:
    """The results of tools and retrievers by name, arguments and how often they were called so in a run."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, int], _Recorded] = {}
        self._calls: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Begin a run: its first call of a tool gets the first result."""
        self._calls.clear()

    def note_lm_call(self) -> None:
        """Note that the tools that are running call an LM."""
        for recorded in _OPEN.get():
            recorded.calls_lm = True

    def call(self, name: str, arguments: Any, function: Callable[[], Any]) -> Any:
        """Return the recorded result of the call, or run it."""
        key = self._key(name, arguments)
        known = self._known.get(key)
        if known is not None and not known.calls_lm:
            return known.replay()
        with self._recording(key) as recorded:
            result = function()
            recorded.result = _copied(result)
        return result

    async def acall(self, name: str, arguments: Any, function: Callable[[], Any]) -> Any:
        """Do the same as `call` for a coroutine function."""
        key = self._key(name, arguments)
        known = self._known.get(key)
        if known is not None and not known.calls_lm:
            return known.replay()
        with self._recording(key) as recorded:
            result = await function()
            recorded.result = _copied(result)
        return result

    def _key(self, name: str, arguments: Any) -> tuple[str, str, int]:
        with self._lock:
            call = name, printed(arguments)
            self._calls[call] += 1
            return *call, self._calls[call]

    @contextmanager
    def _recording(self, key: tuple[str, str, int]) -> Iterator[_Recorded]:
        recorded = _Recorded()
        token = _OPEN.set((*_OPEN.get(), recorded))
        try:
            yield recorded
        except Exception as error:
            recorded.error = error
            raise
        finally:
            _OPEN.reset(token)
            self._known[key] = recorded


@contextmanager
def replayed(recordings: Recordings) -> Iterator[None]:
    """Take the results of `dspy.Tool`s, `dspy.Retrieve` and the configured retriever from `recordings`."""
    call, acall, retrieve = dspy.Tool.__call__, dspy.Tool.acall, dspy.Retrieve.__call__

    def tool(self: dspy.Tool, **kwargs: Any) -> Any:
        return recordings.call(f"tool {self.name}", kwargs, lambda: call(self, **kwargs))

    async def atool(self: dspy.Tool, **kwargs: Any) -> Any:
        return await recordings.acall(f"tool {self.name}", kwargs, lambda: acall(self, **kwargs))

    def retriever(self: dspy.Retrieve, *args: Any, **kwargs: Any) -> Any:
        name = f"retriever {type(self).__name__}"
        return recordings.call(name, (self.k, args, kwargs), lambda: retrieve(self, *args, **kwargs))

    rm = dspy.settings.rm

    def configured(*args: Any, **kwargs: Any) -> Any:
        return recordings.call("rm", (args, kwargs), lambda: rm(*args, **kwargs))

    dspy.Tool.__call__, dspy.Tool.acall, dspy.Retrieve.__call__ = tool, atool, retriever  # type: ignore[method-assign]
    try:
        with dspy.context(rm=configured if rm else None):
            yield
    finally:
        dspy.Tool.__call__, dspy.Tool.acall, dspy.Retrieve.__call__ = call, acall, retrieve  # type: ignore[method-assign]


def _copied(value: Any) -> Any:
    try:
        return copy.deepcopy(value)
    except Exception:  # a connection, a lock or the like
        return value
