"""The one door to TensorZero: its embedded gateway, and its errors as ours."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("RUST_LOG", "off")  # the embedded gateway logs to stdout unless told before its first use

from tensorzero import BaseTensorZeroError, TensorZeroError, TensorZeroGateway

from t0dspy.errors import GatewayError

Message = dict[str, Any]


@dataclass(frozen=True)
class Inference:
    """What the gateway answered."""

    inference_id: str
    episode_id: str
    variant: str
    text: str
    """The model's raw text; read it with DSPy's own parser."""


def template_block(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A content block that fills the template `name`."""
    return {"type": "template", "name": name, "arguments": dict(arguments)}


def input_messages(arguments: Mapping[str, Any], demo_turns: int) -> list[Message]:
    """The messages of a call: the version's static demo turns, then the input.

    Args:
        arguments: typed JSON, one for each input field.
        demo_turns: how many pairs of demo turns the version has (0 where demos stand in the system message).
    """
    turns = [
        {"role": role, "content": [template_block(f"demo_{at}_{role}", {})]}
        for at in range(1, demo_turns + 1)
        for role in ("user", "assistant")
    ]
    return [*turns, {"role": "user", "content": [template_block("user", arguments)]}]


class Gateway:
    """A gateway, embedded in this process or behind HTTP."""

    def __init__(self, client: TensorZeroGateway) -> None:
        self._client = client

    def infer(self, function: str, messages: Sequence[Message], *, variant: str | None = None) -> Inference:
        """Call `function`, pinned to `variant` if one is given.

        Raises:
            GatewayError: it refused the call, or no provider answered.
        """
        with _translated():
            answer: Any = self._client.inference(
                function_name=function, input={"messages": list(messages)}, variant_name=variant
            )
        return Inference(str(answer.inference_id), str(answer.episode_id), answer.variant_name, _text_of(answer))


@contextmanager
def embedded_gateway(config: Path) -> Iterator[Gateway]:
    """A gateway in this process, without a database, that serves every `*.toml` below the directory `config`.

    Raises:
        GatewayError: TensorZero refuses the config; the message has its own words.
    """
    with _translated():
        client = TensorZeroGateway.build_embedded(config_file=f"{config}/**/*.toml", clickhouse_url=None)
    try:
        yield Gateway(client)
    finally:
        client.close()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except TensorZeroError as error:
        raise GatewayError(f"the gateway answered {error.status_code}: {error.text}") from error
    except BaseTensorZeroError as error:
        raise GatewayError(f"the gateway: {error}") from error


def _text_of(answer: Any) -> str:
    if hasattr(answer, "output"):
        return answer.output.raw or ""
    return "".join(block.text for block in answer.content if getattr(block, "text", None))
