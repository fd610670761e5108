"""The gateway embedded in this process, and its errors as those of t0dspy."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localkit import interrupts
from t0dspy.errors import GatewayError
from t0dspy.gateway.call import Inference, Message

if TYPE_CHECKING:
    from tensorzero import TensorZeroGateway


class Gateway:
    """A gateway embedded in this process."""

    def __init__(self, client: "TensorZeroGateway") -> None:
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
    with _log_off_stdout(), _translated():
        from tensorzero import TensorZeroGateway

        client = TensorZeroGateway.build_embedded(config_file=f"{config}/**/*.toml", clickhouse_url=None)
    try:
        yield Gateway(client)
    finally:
        client.close()


@contextmanager
def _log_off_stdout() -> Iterator[None]:
    """Keep the engine's log off stdout, where a program's results go; on stderr it is what RUST_LOG asks for.

    The engine (tensorzero 2026.6.0) logs to file descriptor 1 and reads RUST_LOG once, at its first use in a process.
    The command line points descriptor 1 at stderr (`cli/streams.py`). In a user's own process that is not ours to do.
    """
    # Workaround (tensorzero 2026.6): the embedded gateway logs to file descriptor 1, which holds the results of a
    # user's script; remove when it logs to stderr. See tensorzero/tensorzero#1836.
    asked = os.environ.get("RUST_LOG")
    if asked is None or not _stdout_is_stderr():
        os.environ["RUST_LOG"] = "off"
    try:
        yield
    finally:
        if asked is None:
            os.environ.pop("RUST_LOG", None)
        else:
            os.environ["RUST_LOG"] = asked


def _stdout_is_stderr() -> bool:
    try:
        return os.path.sameopenfile(1, 2)
    except OSError:  # one of them is closed
        return False


@contextmanager
def _translated() -> Iterator[None]:
    with interrupts.deferred():
        from tensorzero import BaseTensorZeroError, TensorZeroError

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
