"""An engine that makes the gateway a `dspy.LM`, so that DSPy's history, usage, cache and callbacks work."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Self

import dspy
from dspy.lm15 import (
    Config,
    ContextLengthError,
    Message,
    Request,
    Response,
    StreamDeltaEvent,
    StreamEndEvent,
    StreamStartEvent,
    TextDelta,
    TextPart,
    Usage,
)

from t0dspy.errors import GatewayError, RunError
from t0dspy.gateway import Call, HttpGateway, Inference, input_messages
from t0dspy.runtime.run import current_run

MODEL = "tensorzero/gateway"
"""The gateway's name in DSPy's history and usage."""

_TOO_LONG = ("context_length_exceeded", "maximum context length", "context window", "prompt is too long")


def stage_request(
    function: str, version: str, arguments: Mapping[str, Any], demo_turns: int, sampling: Mapping[str, Any]
) -> Request:
    """Return a stage's call as a request for DSPy's LM, which its cache uses as key and its history shows.

    Args:
        function: the TensorZero function.
        version: the variant that must answer.
        arguments: JSON values by input field.
        demo_turns: the number of pairs of static demo turns to send first.
        sampling: the variant keys that this call overrides.
    """
    text = json.dumps(arguments, ensure_ascii=False)
    details: dict[str, Any] = {
        "function_name": function,
        "variant_name": version,
        "demo_turns": demo_turns,
        "params": dict(sampling),
    }
    return Request(model=MODEL, messages=(Message.user(TextPart(text)),), config=Config(extensions=details))


class GatewayEngine:
    """Makes one sync call of a stage. It does not retry, because the gateway does."""

    def __init__(self, gateway: HttpGateway) -> None:
        self.gateway = gateway

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # Workaround (dspy 3.4): `Module.deepcopy` falls back to shallow copies of attributes if a program cannot be
        # copied, as with an engine that holds connections; remove when copies of an LM share its engine.
        return self

    def complete(self, request: Request) -> Response:
        """Call the gateway as part of the current run, and return its answer."""
        call, run = _call(request), _run()
        with _context_errors():
            return _response(request, run.ask(self.gateway, call))

    def stream(self, request: Request) -> Iterator[Any]:
        """Yield the answer as a single chunk, because a stage is parsed as a whole."""
        yield from _events(self.complete(request))

    def close(self) -> None:
        """Do nothing, because the deployment owns the connections."""


class AsyncGatewayEngine:
    """Makes one async call of a stage."""

    def __init__(self, gateway: HttpGateway) -> None:
        self.gateway = gateway

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    async def complete(self, request: Request) -> Response:
        """Call the gateway as part of the current run, and return its answer."""
        call, run = _call(request), _run()
        with _context_errors():
            return _response(request, await run.aask(self.gateway, call))

    async def stream(self, request: Request) -> AsyncIterator[Any]:
        """Yield the answer as a single chunk."""
        for event in _events(await self.complete(request)):
            yield event

    async def aclose(self) -> None:
        """Do nothing, because the deployment owns the connections."""


def gateway_lm(gateway: HttpGateway, *, cache: bool) -> dspy.LM:
    """Return a `dspy.LM` that only the gateway adapter can call."""
    engine, async_engine = GatewayEngine(gateway), AsyncGatewayEngine(gateway)
    return dspy.LM(MODEL, engine=engine, async_engine=async_engine, cache=cache, num_retries=0)


def is_gateway_lm(lm: Any) -> bool:
    """Return whether `lm` is the gateway or a copy of it, such as BestOfN makes."""
    return getattr(lm, "model", None) == MODEL


def _run() -> Any:
    run = current_run()
    if run is None:
        raise RunError(
            "a deployed predictor was called outside of its run, such as in a thread without DSPy's context. Use "
            "dspy.Parallel, or start the thread with contextvars.copy_context().run."
        )
    return run


def _call(request: Request) -> Call:
    details: Any = request.config.extensions
    if not details or "function_name" not in details:
        raise RunError(
            "a predictor that was not exported was called inside a deployed program, and no LM is configured for it. "
            "Configure one with dspy.configure(lm=...), or export the program again."
        )
    text: Any = request.messages[-1].first(TextPart)
    messages = input_messages(json.loads(text.text), details["demo_turns"])
    run = _run()
    name, variant = details["function_name"], details["variant_name"]
    return Call(name, messages, variant, run.episode, run.tags, sampling=details["params"])


def _response(request: Request, inference: Inference) -> Response:
    data: dict[str, Any] = {
        "inference_id": inference.inference_id,
        "episode_id": inference.episode_id,
        "variant_name": inference.variant,
    }
    tokens = Usage(input_tokens=inference.usage[0], output_tokens=inference.usage[1])
    message = Message.assistant([TextPart(inference.text)])
    return Response(
        id=inference.inference_id,
        model=request.model,
        message=message,
        finish_reason="stop",
        usage=tokens,
        provider_data=data,
    )


def _events(response: Response) -> Iterator[Any]:
    yield StreamStartEvent(model=response.model)
    yield StreamDeltaEvent(TextDelta(text=response.text or ""))
    yield StreamEndEvent(finish_reason="stop", usage=response.usage, provider_data=response.provider_data)


class _context_errors:  # noqa: N801 - reads as a statement
    """Converts a provider's error about a long context to the error on which ReAct shortens its trajectory."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, GatewayError) and any(sign in str(error).lower() for sign in _TOO_LONG):
            raise ContextLengthError(str(error)) from error
