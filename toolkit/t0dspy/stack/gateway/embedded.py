"""The embedded TensorZero gateway: one loaded config, called with the gateway's JSON.

The `tensorzero` wheel contains the Rust gateway. It serves its OpenAI-compatible routes over HTTP; all other routes are
Python calls that convert each answer to Python classes. The HTTP routes here must send the JSON that the gateway
serialized, so this module replaces the conversions with the identity, in this process only.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import dacite
import httpx
import tensorzero
import tensorzero.types
from tensorzero import AsyncTensorZeroGateway, TensorZeroError
from tensorzero.types import TensorZeroInternalError

from t0dspy.errors import GatewayError
from t0dspy.stack.gateway.closed_port import ClosedPort, ClosedPortTransport
from t0dspy.stack.gateway.refusals import is_about_config
from t0dspy.stack.gateway.wire import Json, Refusal, refusal

_INFERENCE = frozenset(
    """function_name model_name episode_id namespace input stream params variant_name dryrun internal tags allowed_tools
    additional_tools tool_choice parallel_tool_calls provider_tools output_schema cache_options credentials
    include_original_response include_raw_response include_raw_usage include_aggregated_response extra_body
    extra_headers internal_dynamic_variant_config""".split()  # noqa: SIM905 - thirty names read better so
)
_FEEDBACK = ("episode_id", "inference_id", "metric_name", "value", "internal", "tags", "dryrun")


class NotLoadedError(GatewayError):
    """The gateway did not load because of its database or the machine, not because of the config."""


class Native:
    """A gateway with one loaded config."""

    def __init__(self, client: AsyncTensorZeroGateway, openai: Any) -> None:
        self._client: AsyncTensorZeroGateway | None = client
        self._openai = openai
        base = httpx.URL(str(openai.base_url).removesuffix("/openai/v1"))
        self._port = ClosedPort(base.port or 80)
        transport = ClosedPortTransport(self._port, keepalive=128)
        self.http = httpx.AsyncClient(base_url=base, timeout=None, transport=transport)  # noqa: S113

    @classmethod
    async def load(cls, config_glob: str, clickhouse_url: str) -> "Native":
        """Load the config, connect to ClickHouse and migrate it.

        Raises:
            GatewayError: TensorZero refused the config; the message is TensorZero's.
            NotLoadedError: the load failed because of ClickHouse or the machine.
        """
        _return_json()
        try:
            client = await cast("Any", AsyncTensorZeroGateway).build_embedded(
                config_file=config_glob, clickhouse_url=clickhouse_url
            )
            openai = await cast("Any", tensorzero)._start_http_gateway(
                config_file=config_glob,
                clickhouse_url=clickhouse_url,
                postgres_url=None,
                valkey_url=None,
                async_setup=True,
            )
        except TensorZeroInternalError as error:
            kind = GatewayError if is_about_config(str(error)) else NotLoadedError
            raise kind(error_message(str(error))) from error
        native = cls(client, openai)
        await native._port.settle()
        return native

    async def inference(self, body: Mapping[str, Json]) -> Json:
        """Answer `/inference` with the response, or with an async iterator of chunks if the body requests a stream."""
        unknown = next((key for key in body if key not in _INFERENCE), None)
        if unknown is not None:
            raise refusal(400, f"unknown field `{unknown}`")
        _only_function_tools(body)
        return await self._ask("inference", body, required=("input",))

    async def chunks(self, stream: Any) -> AsyncIterator[Json]:
        """Yield all chunks of a stream; an error becomes a chunk with `error`, and the stream continues."""
        while True:
            try:
                yield await anext(stream)
            except StopAsyncIteration:
                return
            except TensorZeroError as error:
                yield _error_chunk(error.text)
            except TensorZeroInternalError as error:
                yield {"error": str(error)}

    async def feedback(self, body: Mapping[str, Json]) -> str:
        """Answer `/feedback` with the id of the row, which the gateway then writes in the background."""
        unknown = next((key for key in body if key not in _FEEDBACK), None)
        if unknown is not None:
            known = ", ".join(f"`{key}`" for key in _FEEDBACK)
            raise refusal(400, f"unknown field `{unknown}`, expected one of {known}")
        answer = await self._ask("feedback", body, required=("metric_name", "value"))
        return str(answer.feedback_id)

    async def list_inferences(self, body: Mapping[str, Json]) -> Json:
        """Answer `/v1/inferences/list_inferences`."""
        return await self._ask("list_inferences", {"request": body}, required=())

    async def get_inferences(self, body: Mapping[str, Json]) -> Json:
        """Answer `/v1/inferences/get_inferences`."""
        known = {key: body[key] for key in ("ids", "function_name", "output_source") if body.get(key) is not None}
        return await self._ask("get_inferences", known, required=("ids",))

    async def _ask(self, call: str, arguments: Mapping[str, Json], required: tuple[str, ...]) -> Json:
        missing = next((key for key in required if key not in arguments), None)
        if missing is not None:
            raise refusal(400, f"missing field `{missing}`")
        try:
            return await getattr(self._client, call)(**arguments)
        except TensorZeroError as error:
            raise Refusal(error.status_code, (error.text or "").encode()) from error
        except TensorZeroInternalError as error:
            raise _internal(error) from error
        except (TypeError, ValueError, RecursionError) as error:
            raise refusal(400, str(error)) from error

    async def close(self) -> None:
        """Close the gateway, and return when its pending rows are written."""
        # Workaround (tensorzero 2026.6): closing the inner server waits for its open connections; remove when it closes
        # idle ones.
        await self.http.aclose()
        self._port.close()
        await asyncio.to_thread(self._drop)

    def _drop(self) -> None:
        self._openai.close()
        self._client = None


def error_message(text: str) -> str:
    """Return TensorZero's message from the Rust debug print of an error."""
    # Workaround (tensorzero 2026.6): an error of a config is the debug print of a Rust value; remove when it is the
    # message alone.
    messages: list[str] = re.findall(r'message: "((?:[^"\\]|\\.)*)"', text)
    return _unescape(messages[-1]).strip() if messages else text


def _unescape(text: str) -> str:
    plain = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}
    text = re.sub(r"\\u\{([0-9a-f]+)\}", lambda match: chr(int(match[1], 16)), text)
    return re.sub(r"\\(.)", lambda match: plain.get(match[1], match[1]), text)


def _internal(error: TensorZeroInternalError) -> Refusal:
    # Workaround (tensorzero 2026.6): a refused request raises the same exception as a failure of the gateway; remove
    # when the exception has a status.
    text = str(error)
    if text.startswith("Failed to deserialize JSON to "):
        reason = text.removeprefix("Failed to deserialize JSON to ").split(": ", 1)[-1]
        return refusal(400, re.sub(r" at line \d+ column \d+$", "", reason))
    # requests with these messages are refused before they are sent; other exceptions are failures of the gateway
    return refusal(400 if "output_source" in text or "Invalid" in text else 500, text)


def _error_chunk(text: str | None) -> Json:
    try:
        return json.loads(text or "")
    except ValueError:
        return {"error": text or "The stream broke."}


def _only_function_tools(body: Mapping[str, Json]) -> None:
    tools = body.get("additional_tools") or ()
    kinds = {tool.get("type", "function") for tool in tools if isinstance(tool, dict)}
    if kinds - {"function"}:
        raise refusal(501, f"The embedded stack supports function tools only, not {sorted(map(str, kinds))}.")


def _return_json() -> None:
    # Workaround (tensorzero 2026.6): the client turns each answer into dataclasses that lose keys, while the HTTP
    # routes must send the gateway's JSON; remove when it can return JSON.
    types = cast("Any", tensorzero.types)
    types.parse_inference_response = types.parse_inference_chunk = lambda answer: answer
    cast("Any", dacite).from_dict = lambda data_class, data, config=None: data
