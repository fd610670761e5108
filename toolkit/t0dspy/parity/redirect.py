"""Point every LM that a program uses at a scripted provider, without a change of the program.

DSPy runs as it is: only the address and the key of each call change, DSPy's cache is off, and retries do not wait.
"""

import asyncio
import dataclasses
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dspy._vendor.lm15.registry import lookup
from dspy.clients import execution

from t0dspy.artifact.lms import LmIdentity
from t0dspy.errors import RunError
from t0dspy.model import digest
from t0dspy.transport.dspy34 import install
from t0dspy.transport.run import current_run

_CLIENT_ADDRESSES = ("api_base", "base_url")

_REPLACED = ("_select_engine", "_cached", "_store", "_delay", "_result")
"""Functions of `dspy.clients.execution`."""


class NotRedirectedError(Exception):
    """A program calls an LM that DSPy's own engines do not carry, so that its requests cannot be scripted."""


class Redirect:
    """The calls of LMs during a run, and where they go."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.callers: set[tuple[int, int]] = set()
        """The threads and tasks that made calls: more than one means that the order of requests may vary."""
        self.answers: list[str] = []
        """What DSPy was told about each answer beside its text: why it ended, and its tokens."""
        self.refused: list[str] = []
        """Why calls could not be redirected; a program may have caught the exceptions."""
        self.in_runs = False
        """Whether every call must be part of a deployed run, as in the program server."""
        self.on_call: Callable[[], None] = lambda: None
        # The threads themselves, because a new thread may get the number of one that has ended.
        self._others = weakref.WeakSet(set(threading.enumerate()) - {threading.current_thread()})

    def applies(self) -> bool:
        """Return whether the calling thread belongs to the run: it began it, or was started during it."""
        return threading.current_thread() not in self._others

    def note(self) -> None:
        """Note the calling thread and task."""
        try:
            task = id(asyncio.current_task())
        except RuntimeError:
            task = 0
        self.callers.add((threading.get_ident(), task))
        self.on_call()

    def refuse(self, reason: str) -> None:
        """Raise NotRedirectedError, and note the reason."""
        self.refused.append(reason)
        raise NotRedirectedError(reason)

    def address(self, model: str, model_type: str, clients: Mapping[str, Any]) -> str:
        """Return the base URL for an LM; LMs with other names or addresses have others."""
        identity = LmIdentity.of(model, {**clients, "model_type": model_type})
        return f"{self.url}/{lm_key(model, model_type, identity.address)}"


def lm_key(model: str, model_type: str, address: str | None) -> str:
    """Return a short text that is different for LMs with different names, types or addresses."""
    return digest(f"{model}\n{model_type}\n{address or ''}")[:12]


@contextmanager
def redirected(url: str) -> Iterator[Redirect]:
    """Send the calls of all LMs to the OpenAI-compatible server at `url` until the context ends.

    It replaces functions of DSPy for the whole process, which act on this thread and on threads started meanwhile.
    """
    redirect = Redirect(url)
    install()
    before = {name: getattr(execution, name) for name in _REPLACED}

    def select(lm: Any, call: Any, asynchronous: bool) -> Any:
        if not redirect.applies():
            return before["_select_engine"](lm, call, asynchronous)
        selected = before["_select_engine"](lm, _to(redirect, lm, call), asynchronous)
        if current_run() is None:
            _check_dialect(redirect, lm, selected)
        return selected

    def cached(lm: Any, call: Any, asynchronous: bool) -> Any:
        return None if redirect.applies() else before["_cached"](lm, call, asynchronous)

    def store(lm: Any, call: Any, result: Any, asynchronous: bool) -> None:
        if not redirect.applies():
            before["_store"](lm, call, result, asynchronous)

    def result(lm: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        if redirect.applies():
            redirect.answers.append(f"{response.finish_reason} {response.usage}")
        return before["_result"](lm, response, *args, **kwargs)

    def delay(error: Exception, attempt: int) -> float:
        return 0.0 if redirect.applies() else before["_delay"](error, attempt)

    try:
        _replace(dict(zip(_REPLACED, (select, cached, store, delay, result), strict=True)))
        yield redirect
    finally:
        _replace(before)


def _check_dialect(redirect: Redirect, lm: Any, selected: Any) -> None:
    definition = lookup(selected[2]) if selected[2] else None
    if definition is not None and definition.dialect != "openai-chat":
        redirect.refuse(f"the provider of {lm.model} has an API of its own")


def _replace(functions: Mapping[str, Callable[..., Any]]) -> None:
    for name, function in functions.items():
        setattr(execution, name, function)


def _to(redirect: Redirect, lm: Any, call: Any) -> Any:
    """Return the call with the address of the scripted provider."""
    redirect.note()
    if redirect.in_runs and current_run() is None:
        raise RunError(
            f"the LM {getattr(lm, 'model', '')!r} was called outside of a run, in a thread without DSPy's context. Use "
            "dspy.Parallel, or start the thread with contextvars.copy_context().run."
        )
    if not call.managed or not isinstance(getattr(lm, "_engine_spec", None), str):
        if current_run() is None:
            redirect.refuse(f"{type(lm).__name__} {getattr(lm, 'model', '')} has an engine of its own")
        return call
    legacy = {key: value for key, value in call.legacy.items() if key not in _CLIENT_ADDRESSES}
    address = redirect.address(lm.model, lm.model_type, call.legacy)
    return dataclasses.replace(call, legacy={**legacy, "api_base": address, "api_key": "none"})
