"""The engine of a `dspy.LM` that is the gateway: DSPy keeps its history, usage, cache and callbacks around it."""

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
"""What DSPy's history and usage call it."""

_TOO_LONG = ("context_length_exceeded", "maximum context length", "context window", "prompt is too long")


def stage_request(
    function: str, version: str, arguments: Mapping[str, Any], demo_turns: int, sampling: Mapping[str, Any]
) -> Request:
    """A stage's call as DSPy's LM takes it: what its cache tells calls apart by, and its history shows.

    Args:
        function: the TensorZero function.
        version: the variant that must answer.
        arguments: typed JSON, one for each input field.
        demo_turns: how many pairs of static demo turns to send first.
        sampling: variant keys that this call overrides.
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
    """One call of a stage, sync. It retries nothing: the gateway does that."""

    def __init__(self, gateway: HttpGateway) -> None:
        self.gateway = gateway

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # Workaround (dspy 3.4): `Module.deepcopy` falls back to shallow copies of attributes if a program cannot be
        # copied, as with an engine that holds connections; remove when copies of an LM share its engine.
        return self

    def complete(self, request: Request) -> Response:
        """The gateway's answer, as part of the current run."""
        call, run = _call(request), _run()
        with _context_errors():
            return _response(request, run.ask(self.gateway, call))

    def stream(self, request: Request) -> Iterator[Any]:
        """The same in one piece: a stage is read as a whole."""
        yield from _events(self.complete(request))

    def close(self) -> None:
        """The deployment owns the connections."""


class AsyncGatewayEngine:
    """One call of a stage, async."""

    def __init__(self, gateway: HttpGateway) -> None:
        self.gateway = gateway

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    async def complete(self, request: Request) -> Response:
        """The gateway's answer, as part of the current run."""
        call, run = _call(request), _run()
        with _context_errors():
            return _response(request, await run.aask(self.gateway, call))

    async def stream(self, request: Request) -> AsyncIterator[Any]:
        """The same in one piece."""
        for event in _events(await self.complete(request)):
            yield event

    async def aclose(self) -> None:
        """The deployment owns the connections."""


def gateway_lm(gateway: HttpGateway, *, cache: bool) -> dspy.LM:
    """A `dspy.LM` that only the gateway adapter can call."""
    engine, async_engine = GatewayEngine(gateway), AsyncGatewayEngine(gateway)
    return dspy.LM(MODEL, engine=engine, async_engine=async_engine, cache=cache, num_retries=0)


def is_gateway_lm(lm: Any) -> bool:
    """Whether `lm` is one of ours, or a copy such as BestOfN makes."""
    return getattr(lm, "model", None) == MODEL


def _run() -> Any:
    run = current_run()
    if run is None:
        raise RunError(
            "a deployed predictor was called outside of its run, as in a thread that DSPy does not know. Use "
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
    """Turns a provider's "too long" into the error that ReAct shortens its trajectory on."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, at: Any) -> None:
        if isinstance(error, GatewayError) and any(sign in str(error).lower() for sign in _TOO_LONG):
            raise ContextLengthError(str(error)) from error
