"""Rows as the gateway inserts them, and what TensorZero's schema makes of each."""

import json
from typing import Any

import httpx

from support.clickhouse import Server
from t0dspy.transport.episode import new_episode

DATABASE = "tensorzero"
ASKED = "SETTINGS async_insert=1, wait_for_async_insert=1"
_AS_THE_GATEWAY = {"input_format_skip_unknown_fields": "0", "input_format_null_as_default": "0"}
HASH = str((1 << 256) - 1)
TAGS = {"a": "1", "b": "2"}


def chat(function: str, **changed: Any) -> dict[str, Any]:
    """A row of ChatInference, with two tags."""
    message = {"role": "user", "content": [{"type": "text", "text": "why? {} ü"}]}
    row = {
        "id": str(new_episode()),
        "function_name": function,
        "variant_name": "v1",
        "episode_id": str(new_episode()),
        "input": {"messages": [message]},
        "output": [{"type": "text", "text": "so\n\n"}],
        "inference_params": {"chat_completion": {}},
        "processing_time_ms": 7,
        "ttft_ms": None,
        "tags": TAGS,
        "extra_body": [],
        "snapshot_hash": HASH,
    }
    return {**row, **changed}


def model(function: str, **changed: Any) -> dict[str, Any]:
    """A row of ModelInference; its model is called as the function is, and it had 3 tokens and gave 4."""
    row = {
        "id": str(new_episode()),
        "inference_id": str(new_episode()),
        "function_name": function,
        "variant_name": "v1",
        "raw_request": "{}",
        "raw_response": "{}",
        "model_name": function,
        "model_provider_name": "p",
        "input_tokens": 3,
        "output_tokens": 4,
        "response_time_ms": 5,
        "ttft_ms": None,
        "system": "be kind",
        "input_messages": "[]",
        "output": "[]",
        "cached": False,
        "cost": None,
        "finish_reason": "stop",
        "snapshot_hash": HASH,
    }
    return {**row, **changed}


def json_inference(function: str, **changed: Any) -> dict[str, Any]:
    """A row of JsonInference, with two tags."""
    return {
        **chat(function, output={"raw": "{}", "parsed": {}}),
        "output_schema": {},
        "auxiliary_content": [],
        **changed,
    }


def feedback(table: str, target: str, **changed: Any) -> dict[str, Any]:
    """A row of feedback on the inference `target`, with two tags."""
    said: dict[str, dict[str, Any]] = {
        "BooleanMetricFeedback": {"target_id": target, "metric_name": "good", "value": True},
        "FloatMetricFeedback": {"target_id": target, "metric_name": "score", "value": 0.5},
        "CommentFeedback": {"target_id": target, "target_type": "inference", "value": "fine"},
        "DemonstrationFeedback": {"inference_id": target, "value": "better"},
    }
    return {"id": str(new_episode()), **said[table], "tags": TAGS, "snapshot_hash": HASH, **changed}


ROWS = {"ChatInference": chat, "ModelInference": model}


def insertion(table: str, *rows: dict[str, Any], settings: str = ASKED) -> str:
    """The statement with `rows` behind it."""
    return f"INSERT INTO {table}\n{settings}\nFORMAT JSONEachRow\n" + "\n".join(map(json.dumps, rows))


def send(server: Server, table: str, *rows: dict[str, Any], **options: Any) -> httpx.Response:
    """The answer to an insertion as the gateway makes it."""
    return server.post(insertion(table, *rows, **options), database=DATABASE, **_AS_THE_GATEWAY)


def was_kept(answer: httpx.Response) -> bool:
    """Whether the rows were acknowledged before the engine had seen them: then it counted no time for them."""
    assert answer.status_code == 200, answer.text
    return bool(json.loads(answer.headers["x-clickhouse-summary"])["elapsed_ns"] == "0")


_EACH = {
    "ChatInference": "SELECT count() FROM ChatInference WHERE function_name = {f:String}",
    "InferenceById": "SELECT count() FROM InferenceById WHERE function_name = {f:String}",
    "InferenceByEpisodeId": "SELECT count() FROM InferenceByEpisodeId WHERE function_name = {f:String}",
    "InferenceTag": "SELECT count() / 2 FROM InferenceTag WHERE function_name = {f:String}",
    "TagInference": "SELECT count() / 2 FROM TagInference WHERE function_name = {f:String}",
    "VariantStatistics": "SELECT countMerge(count) FROM VariantStatistics WHERE function_name = {f:String}",
    "EpisodeById": "SELECT length(groupArrayMerge(inference_ids)) FROM EpisodeById WHERE episode_id_uint IN "
    "(SELECT toUInt128(episode_id) FROM ChatInference WHERE function_name = {f:String})",
    "ModelInference": "SELECT count() FROM ModelInference WHERE function_name = {f:String}",
    "ModelProviderStatistics": "SELECT sumMerge(total_input_tokens) / 3 FROM ModelProviderStatistics "
    "WHERE model_name = {f:String}",
    "tokens": "SELECT sumMerge(total_output_tokens) / 4 FROM VariantStatistics WHERE function_name = {f:String}",
}


def inferences(server: Server, function: str, *tables: str) -> dict[str, float]:
    """How many inferences of `function` each of `tables` knows of; all of ChatInference's views if none is named."""
    wanted = tables or tuple(_EACH)[:7]
    return {name: float(server.run(_EACH[name], database=DATABASE, param_f=function) or 0) for name in wanted}


def calls(server: Server, function: str) -> dict[str, float]:
    """How many model inferences of `function` each table knows of."""
    return inferences(server, function, *tuple(_EACH)[7:])
