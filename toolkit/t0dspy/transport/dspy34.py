"""Everything that depends on the internals of DSPy 3.4: put the gateway's transport under each LM inside a run.

DSPy selects an engine for each call of an LM, and lm15's engines take the transport as an argument. Inside a run, the
engine that DSPy selected is replaced by an equal engine with our transport. Everything above it is DSPy's own:
adapters, the JSON fallback, `n`, retries, parsing, history, usage and exceptions. Outside of runs nothing changes.
"""

import asyncio
import contextlib
import inspect
import threading
import weakref
from collections.abc import AsyncIterator, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

import dspy
from dspy._vendor.lm15.registry import lookup
from dspy._vendor.lm15.transports import AsyncTransportResponse, ReadError, TransportRequest, TransportResponse
from dspy.adapters import utils
from dspy.clients import execution
from dspy.clients.backend_selection import CLIENT_KEYS, select_backend
from dspy.clients.engines.lm15_engine import AsyncLM15Engine, LM15Engine, timeouts_for
from dspy.lm15 import LM15Error, RouterConfig, UnsupportedFeatureError, _definitions

from t0dspy.errors import ProgramError, RunError
from t0dspy.model import Text
from t0dspy.transport.answer import Answer, ProviderLostError
from t0dspy.transport.call import current_call
from t0dspy.transport.exchange import Exchange
from t0dspy.transport.run import Run, current_run

_EXCHANGE: ContextVar[Exchange] = ContextVar("t0dspy_exchange")
_OPENAI = "openai-chat"
"""lm15's name of the provider with OpenAI's chat completions."""
_EXPECTED = {"_select_engine": ["lm", "call", "asynchronous"], "_cached": ["lm", "call", "asynchronous"]}
_stock_select: Any = execution._select_engine
_stock_cached: Any = execution._cached
_stock_store: Any = execution._store
_stock_system: Any = dspy.Adapter.format_system_message
_stock_serialize: Any = utils.serialize_for_json
_PLAIN = (str, int, bool, type(None))
_stock_demos: Any = dspy.Adapter.format_demos
_TEXTS: dict[type, Text] = {dspy.ChatAdapter: "chat", dspy.JSONAdapter: "json", dspy.XMLAdapter: "xml"}


_required = False
_installed = threading.Event()


def install(*, required: bool = False) -> None:
    """Put the transport into DSPy; calling it again changes nothing.

    Args:
        required: whether every call of an LM in this process must be part of a run, as in the program server.

    Raises:
        RunError: this version of DSPy is built in another way.
    """
    global _required
    _required = _required or required
    if _installed.is_set():  # not by looking at DSPy, where the proof puts functions of its own above these
        return
    for name, parameters in _EXPECTED.items():
        if list(inspect.signature(getattr(execution, name)).parameters) != parameters:
            raise RunError(f"t0dspy cannot serve programs with DSPy {dspy.__version__}; it supports DSPy 3.4.")
    _installed.set()
    execution._select_engine = _select
    execution._cached = _cached
    execution._store = _store
    base: Any = dspy.Adapter
    base.format_system_message, base.format_demos = _system, _demos
    utils.serialize_for_json = _serialize


def _select(lm: Any, call: Any, asynchronous: bool) -> Any:
    run = current_run()
    if run is None and not _required:
        return _stock_select(lm, call, asynchronous)
    if run is None:
        raise RunError(
            f"the LM {getattr(lm, 'model', '')!r} was called outside of a run: while the program was imported, in a "
            "thread without DSPy's context, or after the run was over. Use dspy.Parallel, or start the thread with "
            "contextvars.copy_context().run."
        )
    if not isinstance(lm, dspy.LM) or not isinstance(getattr(lm, "_engine_spec", None), str):
        raise _refuse(run, f"the LM {type(lm).__name__} {getattr(lm, 'model', '')!r}, which is not a plain dspy.LM")
    route = _route(run, lm, call.legacy)
    try:
        request = call.request or execution._canonical(call, compat=route.compat)
    except (LM15Error, TypeError, ValueError) as error:
        raise _refuse(run, f"the LM {lm.model!r} with a request that DSPy's engine cannot write ({error})") from error
    if route.translated:
        request = replace(request, model=f"openai/{lm.model}")
    engine = _AsyncEngine if asynchronous else _Engine
    exchange = Exchange(run, lm, route.seconds, route.translated)
    return engine(_engine(route, asynchronous), exchange), request, route.provider


@dataclass(frozen=True)
class _Route:
    """How DSPy would reach the provider of an LM."""

    provider: str
    """lm15's name of the provider."""
    compat: Any
    translated: bool
    """Whether the provider's API is not OpenAI's chat completions."""
    seconds: float | None
    """The LM's time limit for an answer."""
    config: RouterConfig


_SECRETS = frozenset(("api_key", "headers", "extra_headers", "azure_ad_token_provider"))
_ROUTES: dict[Any, _Route] = {}


def _route(run: Run, lm: dspy.LM, options: Mapping[str, Any]) -> _Route:
    """Return the route that DSPy selects for `lm` with the options of a call, which it does anew for each call."""
    # The value of a secret does not change the route, and a program may have a new one for each call.
    clients = tuple(
        sorted((key, "" if key in _SECRETS else repr(options[key])) for key in CLIENT_KEYS & options.keys())
    )
    key = (lm._engine_spec, lm.model, lm.model_type, id(lm._providers), clients)
    route = _ROUTES.get(key)
    if route is None:
        route = _ROUTES[key] = _new_route(run, lm, options)
    return route


def _new_route(run: Run, lm: dspy.LM, options: Mapping[str, Any]) -> _Route:
    selection = select_backend(lm, options)
    resolution: Any = selection.resolution
    if not selection.native:
        why = "through LiteLLM, because of its engine, an option or an environment variable such as OPENAI_BASE_URL"
        raise _refuse(run, f"the LM {lm.model!r} {why}")
    if lm.model_type != "chat":
        raise _refuse(run, f"the LM {lm.model!r} with model_type {lm.model_type!r}")
    definition = lookup(resolution.provider)
    translated = definition is not None and definition.dialect != "openai-chat"
    provider = _OPENAI if translated else resolution.provider
    address = selection.clients.get("api_base") or selection.clients.get("base_url")
    config = RouterConfig(
        api_keys={provider: "none"},
        base_urls={provider: address} if address else None,
        providers=_definitions(lm._providers),
    )
    timeouts = timeouts_for(selection.clients.get("timeout"))
    seconds = None if timeouts is None else timeouts.read
    return _Route(resolution.provider, resolution.compat, translated, seconds, config)


def _refuse(run: Run, subject: str) -> ProgramError:
    error = ProgramError(
        f"{run.served} calls {subject}. The gateway can carry only what DSPy's own engine (lm15) sends; construct the "
        "LM with engine='lm15' and the options that it supports."
    )
    run.end(error)
    return error


def _cached(lm: Any, call: Any, asynchronous: bool) -> Any:
    return _stock_cached(lm, call, asynchronous) if _may_cache() else None


def _store(lm: Any, call: Any, result: Any, asynchronous: bool) -> None:
    if _may_cache():
        _stock_store(lm, call, result, asynchronous)


def _may_cache() -> bool:
    run = current_run()
    return run is None or run.cache  # the gateway does not log an answer that DSPy's cache gives


# Workaround (dspy 3.4): `serialize_for_json` builds a pydantic adapter for each value, which is slow; remove when it
# returns plain values unchanged.
def _serialize(value: Any) -> Any:
    return value if type(value) in _PLAIN else _stock_serialize(value)


def _system(self: Any, signature: Any) -> str:
    """Return the system message that DSPy wrote for the same signature when the version was loaded, or write it."""
    call = current_call()
    static = call.predictor.static(_TEXTS.get(type(self), "chat"), signature) if call and type(self) in _TEXTS else None
    return _stock_system(self, signature) if static is None else static.system


def _demos(self: Any, signature: Any, demos: Any) -> list[dict[str, Any]]:
    """Return the turns that DSPy wrote for the same demos when the version was loaded, or write them."""
    call = current_call()
    static = None
    if call is not None and demos is call.predictor.demos and type(self) in _TEXTS:
        static = call.predictor.static(_TEXTS[type(self)], signature)
    if static is None:
        return _stock_demos(self, signature, demos)  # type: ignore[no-any-return]
    roles = ("user", "assistant")
    return [{"role": roles[index % 2], "content": turn} for index, turn in enumerate(static.turns)]


def _unsupported(exchange: Exchange, error: Exception) -> str:
    return f"the LM {exchange.lm.model!r} with an option that DSPy sends through LiteLLM ({error})"


class _Engine:
    """An engine of lm15 that sends through the gateway for one call."""

    def __init__(self, inner: Any, exchange: Exchange) -> None:
        self._inner, self._exchange = inner, exchange

    def complete(self, request: Any) -> Any:
        token = _EXCHANGE.set(self._exchange)
        try:
            return self._inner.complete(request)
        except UnsupportedFeatureError as error:
            raise _refuse(self._exchange.run, _unsupported(self._exchange, error)) from error
        finally:
            _EXCHANGE.reset(token)

    def stream(self, request: Any) -> Iterator[Any]:
        token = _EXCHANGE.set(self._exchange)
        try:
            yield from self._inner.stream(request)
        finally:
            _EXCHANGE.reset(token)


class _AsyncEngine:
    def __init__(self, inner: Any, exchange: Exchange) -> None:
        self._inner, self._exchange = inner, exchange

    async def complete(self, request: Any) -> Any:
        _EXCHANGE.set(self._exchange)  # a task has a context of its own
        try:
            return await self._inner.complete(request)
        except UnsupportedFeatureError as error:
            raise _refuse(self._exchange.run, _unsupported(self._exchange, error)) from error

    async def stream(self, request: Any) -> AsyncIterator[Any]:
        _EXCHANGE.set(self._exchange)
        async for event in self._inner.stream(request):
            yield event


class _Transport:
    """lm15's transport for synchronous calls."""

    def stream(self, request: TransportRequest) -> TransportResponse:
        exchange = _EXCHANGE.get()
        try:
            answer = exchange.send(request.url, request.body)
        except ProviderLostError as lost:
            raise ReadError(str(lost)) from lost
        return TransportResponse(**_head(answer), chunks=iter([answer.raw]), release=lambda *_, **__: None)

    def close(self) -> None:
        """Do nothing, because the deployment owns the connections."""


class _AsyncTransport:
    """lm15's transport for asynchronous calls; `stream` has to return a context manager, not a coroutine."""

    def stream(self, request: TransportRequest) -> Any:
        return self._opened(request)

    @contextlib.asynccontextmanager
    async def _opened(self, request: TransportRequest) -> AsyncIterator[AsyncTransportResponse]:
        try:
            answer = await _EXCHANGE.get().asend(request.url, request.body)
        except ProviderLostError as lost:
            raise ReadError(str(lost)) from lost
        yield AsyncTransportResponse(**_head(answer), chunks=_once(answer.raw), release=_release)

    async def aclose(self) -> None:
        """Do nothing, because the deployment owns the connections."""


def _head(answer: Answer) -> dict[str, Any]:
    return {"status": answer.status, "reason": "", "headers": [], "http_version": "1.1"}


async def _once(raw: bytes) -> AsyncIterator[bytes]:
    yield raw


async def _release(*_: Any, **__: Any) -> None:
    pass


_TRANSPORT, _ASYNC_TRANSPORT = _Transport(), _AsyncTransport()
_ENGINES: dict[Any, LM15Engine] = {}
_ASYNC_ENGINES: "weakref.WeakKeyDictionary[Any, dict[Any, AsyncLM15Engine]]" = weakref.WeakKeyDictionary()


def _engine(route: _Route, asynchronous: bool) -> Any:
    """Return the engine of lm15 for `route`, with our transport."""
    kind: Any = AsyncLM15Engine if asynchronous else LM15Engine
    engines: dict[Any, Any] = _ASYNC_ENGINES.setdefault(asyncio.get_running_loop(), {}) if asynchronous else _ENGINES
    if id(route) not in engines:  # routes live as long as the process
        transport: Any = _ASYNC_TRANSPORT if asynchronous else _TRANSPORT
        engines[id(route)] = kind(replace(route.config, transport=transport))
    return engines[id(route)]
