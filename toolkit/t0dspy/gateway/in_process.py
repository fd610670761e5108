"""Run the gateway in this process, and convert its errors to those of t0dspy."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

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
            GatewayError: if the gateway rejected the call or no provider answered.
        """
        with _translate_errors():
            answer: Any = self._client.inference(
                function_name=function, input={"messages": list(messages)}, variant_name=variant
            )
        return Inference(str(answer.inference_id), str(answer.episode_id), answer.variant_name, _text_of(answer))


@contextmanager
def embedded_gateway(config: Path) -> Iterator[Gateway]:
    """Run a gateway in this process, without a database, with every `*.toml` below the directory `config`.

    Raises:
        GatewayError: if TensorZero rejects the config; the message contains TensorZero's.
    """
    with _keep_log_off_stdout(), _translate_errors():
        from tensorzero import TensorZeroGateway

        client = TensorZeroGateway.build_embedded(config_file=f"{config}/**/*.toml", clickhouse_url=None)
    try:
        yield Gateway(client)
    finally:
        client.close()


@contextmanager
def embedded_http_gateway(config: Path) -> Iterator[str]:
    """Run a gateway in this process behind its HTTP routes, like `embedded_gateway`, and yield its base URL.

    Raises:
        GatewayError: if TensorZero rejects the config; the message contains TensorZero's.
    """
    with _keep_log_off_stdout(), _translate_errors():
        import tensorzero

        # Workaround (tensorzero 2026.6): only this private function opens the OpenAI routes, by which requests carry
        # `extra_body` and answers the provider's bytes; remove when `build_embedded` does.
        server: Any = cast("Any", tensorzero)._start_http_gateway(
            config_file=f"{config}/**/*.toml",
            clickhouse_url=None,
            postgres_url=None,
            valkey_url=None,
            async_setup=False,
        )
    try:
        yield str(server.base_url).rstrip("/").removesuffix("/openai/v1")
    finally:
        server.close()


@contextmanager
def _keep_log_off_stdout() -> Iterator[None]:
    """Disable the gateway's log unless stdout is redirected to stderr, because stdout has the results of programs.

    The gateway logs to file descriptor 1 and reads RUST_LOG once, at its first use in a process. The command line
    redirects descriptor 1 to stderr (`cli/streams.py`), but a library must not do so in a user's process.
    """
    # Workaround (tensorzero 2026.6): the embedded gateway logs to file descriptor 1, which holds the results of a
    # user's script; remove when it logs to stderr. See tensorzero/tensorzero#1836.
    level = os.environ.get("RUST_LOG")
    if level is None or not _stdout_is_stderr():
        os.environ["RUST_LOG"] = "off"
    try:
        yield
    finally:
        if level is None:
            os.environ.pop("RUST_LOG", None)
        else:
            os.environ["RUST_LOG"] = level


def _stdout_is_stderr() -> bool:
    try:
        return os.path.sameopenfile(1, 2)
    except OSError:  # one of them is closed
        return False


@contextmanager
def _translate_errors() -> Iterator[None]:
    with interrupts.defer():
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
