"""Call the gateway over HTTP, and convert its errors to those of t0dspy."""

import asyncio
import json
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import httpx

from t0dspy.errors import GatewayError, GatewayUnreachableError
from t0dspy.gateway.call import Call, Completion, Inference
from t0dspy.gateway.connections import Connections
from t0dspy.gateway.program_failures import program_failure

COMPLETIONS = "/openai/v1/chat/completions"
"""The gateway's OpenAI route; unlike `/inference`, it takes messages in the form in which DSPy writes them."""


class HttpGateway:
    """A client of the gateway for any number of threads and event loops at once. It never retries."""

    def __init__(self, url: str, api_key: str | None = None, socket: str | None = None) -> None:
        """Create a client for the base URL `url`; `api_key` is the value of `TENSORZERO_API_KEY` by default.

        With `socket`, the client sends requests to the Unix socket at that path.
        """
        self.url = url.rstrip("/")
        key = api_key or os.environ.get("TENSORZERO_API_KEY")
        headers = ({"Authorization": f"Bearer {key}"} if key else {}) | ({"Host": "localhost"} if socket else {})
        # Ignore the environment's proxies, because the gateway is part of the user's system.
        options: dict[str, Any] = {"base_url": self.url, "headers": headers, "trust_env": False, "timeout": None}
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=256)
        connections: dict[str, Any] = {"limits": limits, "trust_env": False, "uds": socket}
        self._http = httpx.Client(transport=httpx.HTTPTransport(**connections), **options)
        self._background = _Background(
            lambda: httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(**connections), **options)
        )
        self._connections = Connections(f"{self.url}{COMPLETIONS}", headers, socket)
        self._finalizer = weakref.finalize(self, _close_all, self._http, self._background, self._connections)

    def infer(self, call: Call, timeout: float | None = None) -> Inference:
        """Make an inference.

        Args:
            call: the request.
            timeout: the longest time to wait for the answer, in seconds; None for no limit.

        Raises:
            GatewayUnreachableError: if the connection failed, so that nothing was sent.
            GatewayError: if the gateway rejected the call, no provider answered, or the answer was lost.
        """
        return _inference(self._post("/inference", call.body(), timeout))

    async def ainfer(self, call: Call, timeout: float | None = None) -> Inference:
        """Make an inference like `infer`, on any event loop."""
        with _translate_http_errors(self.url, timeout):
            request = self._background.post("/inference", _encode(call.body()), _within(timeout))
            return _inference(_answer(await asyncio.wrap_future(request)))

    def complete(self, body: Mapping[str, Any], timeout: float | None = None) -> Completion:
        """Post `body` to the gateway's OpenAI route, and return its answer, whatever its status.

        Raises:
            GatewayUnreachableError: if the connection failed, so that nothing was sent.
            GatewayError: if the answer was lost, or did not arrive within `timeout` seconds.
        """
        with _translate_http_errors(self.url, timeout):
            return _completion(*self._connections.post(_encode(body), timeout))

    async def acomplete(self, body: Mapping[str, Any], timeout: float | None = None) -> Completion:
        """Post `body` like `complete`, on any event loop."""
        with _translate_http_errors(self.url, timeout):
            request = self._background.post(COMPLETIONS, _encode(body), _within(timeout))
            response = await asyncio.wrap_future(request)
            return _completion(response.status_code, response.content)

    def feedback(self, body: Mapping[str, Any]) -> str:
        """Send `body` to TensorZero's `/feedback` and return the id of the feedback.

        Raises:
            GatewayError: if the gateway rejected the feedback or is not available.
        """
        return str(self._post("/feedback", body, None)["feedback_id"])

    def config_hash(self, timeout: float = 5.0) -> str:
        """Return the hash of the served config, a decimal number, from `/status`.

        Raises:
            GatewayError: if the gateway is not available or does not answer within `timeout` seconds.
        """
        with _translate_http_errors(self.url, timeout):
            try:
                return str(_answer(self._http.get("/status", timeout=_within(timeout)))["config_hash"])
            except KeyError:
                raise GatewayError(
                    f"the server at {self.url} is not a TensorZero gateway: /status has no hash."
                ) from None

    def close(self) -> None:
        """Close the connections; otherwise they are closed when this object is garbage-collected."""
        self._finalizer()

    def _post(self, path: str, body: Mapping[str, Any], timeout: float | None) -> dict[str, Any]:
        with _translate_http_errors(self.url, timeout):
            return _answer(self._http.post(path, content=_encode(body), headers=_JSON, timeout=_within(timeout)))


class _Background:
    """An event loop in a separate thread, so that connections outlive the event loops of the callers."""

    def __init__(self, client: Callable[[], httpx.AsyncClient]) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._http: httpx.AsyncClient | None = None

    def post(self, path: str, content: bytes, timeout: httpx.Timeout) -> "Future[httpx.Response]":
        """Start a request."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=_run, args=(self._loop,), name="t0dspy-gateway", daemon=True).start()
            return asyncio.run_coroutine_threadsafe(self._post(path, content, timeout), self._loop)

    def close(self) -> None:
        """Schedule closing the connections; this is safe in every thread that runs the garbage collector."""
        loop, self._loop = self._loop, None
        if loop is not None and loop.is_running():
            asyncio.run_coroutine_threadsafe(self._end(loop), loop)

    async def _post(self, path: str, content: bytes, timeout: httpx.Timeout) -> httpx.Response:
        self._http = self._http or self._client()
        return await self._http.post(path, content=content, headers=_JSON, timeout=timeout)

    async def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._http is not None:
            await self._http.aclose()
        loop.stop()


def _run(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()


def _close_all(http: httpx.Client, background: _Background, connections: Connections) -> None:
    http.close()
    connections.close()
    background.close()


_JSON = {"Content-Type": "application/json"}


def _completion(status: int, content: bytes) -> Completion:
    body = json.loads(content)
    if not isinstance(body, dict):
        raise ValueError("not an object")
    return Completion(status, body)


def _encode(body: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except ValueError as error:  # NaN, infinity, a lone surrogate
        raise GatewayError(f"the input cannot be sent as JSON: {error}.") from error


@lru_cache(maxsize=64)
def _within(timeout: float | None) -> httpx.Timeout:
    return httpx.Timeout(timeout, connect=min(10.0, timeout or 10.0))


def _answer(response: httpx.Response) -> dict[str, Any]:
    if response.status_code >= 400:
        reason, status = _reason(response), response.status_code
        raise program_failure(reason, status) or GatewayError(f"the gateway answered {status}: {reason}")
    answer = response.json()
    if not isinstance(answer, dict):
        raise ValueError("not an object")
    return answer


def _reason(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"])
    except (ValueError, KeyError, TypeError):
        return response.text[:500]


def _inference(answer: Mapping[str, Any]) -> Inference:
    usage = answer.get("usage") or {}
    tokens = int(usage.get("input_tokens") or 0), int(usage.get("output_tokens") or 0)
    try:
        ids = str(answer["inference_id"]), str(answer["episode_id"]), str(answer["variant_name"])
        if "output" in answer:
            return Inference(*ids, answer["output"]["raw"] or "", tokens)
        return Inference(*ids, "".join(block.get("text") or "" for block in answer["content"]), tokens)
    except (KeyError, TypeError, AttributeError) as error:
        raise GatewayError(f"the gateway's answer is not an inference: {error!r} is missing.") from error


@contextmanager
def _translate_http_errors(url: str, timeout: float | None) -> Iterator[None]:
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise GatewayUnreachableError(
            f"no gateway answers at {url}. Start one with `t0dspy up`, or name another with --gateway-url."
        ) from error
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise GatewayError(f"{url!r} is not a URL of a gateway: {error}.") from error
    except httpx.TimeoutException as error:
        raise GatewayError(f"the gateway at {url} did not answer within {timeout:g} s.") from error
    except httpx.TransportError as error:
        raise GatewayError(
            f"the connection to the gateway at {url} was lost before it answered. The call may have been processed, so "
            "it is not repeated."
        ) from error
    except ValueError as error:
        raise GatewayError(f"the server at {url} is not a TensorZero gateway ({error}).") from error
